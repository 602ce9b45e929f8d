"""The kernel every service runs on: consume, decide and say in one transaction."""
