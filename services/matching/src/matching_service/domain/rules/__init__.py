"""The hard rules: a pair that breaks one is never proposed."""
