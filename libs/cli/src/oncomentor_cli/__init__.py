"""The `oncomentor` command: run the network, publish to it, listen to it."""
