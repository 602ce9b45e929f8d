"""What every test of the repository can use."""

from hypothesis import settings

pytest_plugins = ["testkit.plugin"]

# Time is measured in tests/perf; here a busy machine must not fail a right answer.
settings.register_profile("repository", deadline=None)
settings.load_profile("repository")
