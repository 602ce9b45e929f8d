"""A service's process: starting, running, stopping, and what it connects to."""
