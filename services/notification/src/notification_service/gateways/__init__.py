"""Towards the outside: what centers are told, and mails from facts to the mail server."""
