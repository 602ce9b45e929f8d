"""The `oncomentor` command: run a stack, validate and publish people, watch topics, see a story.

It speaks to Kafka and to HTTP and to nothing else. Importing this package imports no library: the
commands import what they need when they run, so that `--help` answers at once.
"""
