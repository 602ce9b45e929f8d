"""What a service hears: from the fetched record to the handlers, in one transaction a slice."""
