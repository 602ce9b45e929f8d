"""Every SQL statement of the profile service."""
