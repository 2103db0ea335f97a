"""Who exists: plugin declarations, hooks, discovery, and the errors that everybody raises."""
