"""Weekly hours, sessions and the protected-time ledger."""
