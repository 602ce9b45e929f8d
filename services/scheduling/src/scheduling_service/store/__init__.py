"""Every SQL statement of the service, one function each."""
