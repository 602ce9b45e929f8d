"""The embedded stack: real Kafka, PostgreSQL, identity provider and mail on one machine.

`devstack.stack.Stack` is the way in; everything it makes lives in one folder.
"""
