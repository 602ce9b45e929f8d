"""What a service says: the outbox, and the relay that repeats it to Kafka."""
