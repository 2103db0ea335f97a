"""The emotion words that ship with this project, in English and Chinese: their forms, families, valence."""
