"""The matching engine: exact, explainable, usable without Kafka or a database.

It stands on arrays: `Pool` lays people out, the scan compares every eligible pair.
"""
