"""What every test of the repository can use."""

pytest_plugins = ["testkit.plugin"]
