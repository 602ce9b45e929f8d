"""A small network that is failed on purpose: its services, the load, the faults, the campaign."""
