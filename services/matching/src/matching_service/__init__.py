"""Proposals, matches and rounds: who is offered to whom, and why."""
