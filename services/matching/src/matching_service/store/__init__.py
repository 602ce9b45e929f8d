"""Every SQL statement of matching, one function each."""
