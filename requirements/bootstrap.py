"""Find a Python that is new enough, and let it set `.venv` up.

Any Python 3 can read this file, so that an old one says a sentence and not a SyntaxError.
"""

import os
import subprocess
import sys

OLDEST = (3, 11)
NAMES = ("python3", "python3.14", "python3.13", "python3.12", "python3.11")


def is_new_enough(name: str) -> bool:
    """Return whether `name` runs, and is new enough; a pyenv shim may do neither."""
    question = "import sys; sys.exit(sys.version_info < (3, 11))"
    try:
        done = subprocess.run([name, "-c", question], stderr=subprocess.DEVNULL, check=False)
    except OSError:
        return False
    return done.returncode == 0


def main() -> int:
    """Set `.venv` up and return a process's exit status."""
    if sys.version_info >= OLDEST:
        import installer  # noqa: PLC0415 - an older Python could not read it

        return installer.main()

    for name in NAMES:
        if is_new_enough(name):
            os.execvp(name, [name, os.path.abspath(__file__)])  # noqa: S606, PTH100 - no shell is meant; any Python 3
    sys.stderr.write(
        "set-up: Python 3.11 or newer is needed and none is on PATH: install one "
        "(Debian, Ubuntu: apt-get install python3 python3-venv; macOS: brew install python) "
        "and run this again.\n"
    )
    return 1


if __name__ == "__main__":
    sys.exit(main())
