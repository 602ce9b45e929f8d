"""Institutions, programmes and people: who is in the network, under which consent."""
