"""Small trained parts that are fetched once, when asked for, and kept in the user's cache."""
