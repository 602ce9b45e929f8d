"""The embedded stack: real Kafka, PostgreSQL, identity provider and mail on one machine."""
