"""The HTTP edge: who asks, what is answered, commands that come in by request."""
