"""What the tests share: builders, real brokers and databases, deadlines."""
