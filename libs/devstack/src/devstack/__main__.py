"""`python -m devstack up|down|status|reset`: for maintainers; people use `oncomentor`."""

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from devstack.errors import DevstackError
from devstack.stack import Stack


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what is asked and return a process's exit status."""
    parser = argparse.ArgumentParser(prog="python -m devstack", description=__doc__)
    parser.add_argument("action", choices=["up", "down", "status", "reset"])
    parser.add_argument("--home", type=Path)
    parser.add_argument("--no-services", action="store_true", help="infrastructure alone")
    parser.add_argument("--yes", action="store_true", help="reset without asking")
    asked = parser.parse_args(arguments)
    begun = time.monotonic()

    def show(text: str) -> None:
        sys.stderr.write(f"{time.monotonic() - begun:5.1f} s  {text}\n")

    try:
        stack = Stack(asked.home, progress=show)
        _do(stack, asked)
    except DevstackError as error:
        sys.stderr.write(f"devstack: {error}\n")
        return 1
    return 0


def _do(stack: Stack, asked: argparse.Namespace) -> None:
    match asked.action:
        case "up":
            stack.up(services=() if asked.no_services else None)
        case "down":
            stack.down()
        case "reset":
            stack.reset(yes=asked.yes, ask=_ask)
        case _:
            _show_status(stack)


def _ask(question: str) -> bool:
    sys.stderr.write(f"{question} [y/N] ")
    return sys.stdin.readline().strip().lower() in {"y", "yes"}


def _show_status(stack: Stack) -> None:
    for part in stack.status():
        line = f"{part.name:13} {part.state:10} {part.address:22} {part.pid or '-':>8} "
        sys.stdout.write(f"{line}{part.memory_mb:7.0f} MB {part.age_seconds:8.0f} s  {part.log}\n")


if __name__ == "__main__":
    sys.exit(main())
