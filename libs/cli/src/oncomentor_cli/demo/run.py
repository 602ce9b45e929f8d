"""`oncomentor demo`: the network around the story, and the exit code at its end."""

import asyncio
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import typer

from devstack.containers import Containers
from devstack.stack import Stack
from oncomentor_cli.console import emit, note, quiet_libraries
from oncomentor_cli.demo.checks import Check, run_checks
from oncomentor_cli.demo.report import show_report, summary
from oncomentor_cli.demo.story import Stage, play
from oncomentor_cli.demo.world import World
from oncomentor_cli.embedded import STARTED_BY_DEMO
from oncomentor_cli.exits import Exit
from oncomentor_cli.network import Against, network


def run(*, keep: bool, as_json: bool, against: Against) -> None:
    """Play the story and print it; exit code 1 when a step is missing."""
    quiet_libraries()
    begun = time.monotonic()

    def say(text: str) -> None:
        note(f"{time.monotonic() - begun:5.1f} s  {text}")

    found = network(against, say)
    with _running(found, keep=keep) as stays:
        world = asyncio.run(play(Stage(found, say)))
        checks = run_checks(world)
        seconds = time.monotonic() - begun
        if as_json:
            emit(summary(world, checks, seconds))
        else:
            inbox, in_containers = found.address("mail"), against is Against.COMPOSE
            show_report(world, checks, keeps=stays, inbox=inbox, in_containers=in_containers)
        say(f"told after {seconds:.1f} s")
    _end(world, checks)


@contextmanager
def _running(stack: Stack | Containers, *, keep: bool) -> Iterator[bool]:
    """Have the network run; yields whether it stays when the story is over.

    Containers are somebody else's to start and to end. A demonstration that started the stack ends
    it. That it did is noted in a file, so that one that was killed is made up for by the next.
    """
    if isinstance(stack, Containers):
        stack.require_ready()
        yield True
        return
    mark = stack.home.root / STARTED_BY_DEMO
    if not any(one.state != "down" for one in stack.status()):
        _touch(mark)
    stays = keep or not mark.exists()
    try:
        stack.up()
        yield stays
    finally:
        mark.unlink(missing_ok=True)
        if not stays:
            note("ending the stack (run with --keep to leave it running)")
            stack.down()


def _touch(mark: Path) -> None:
    mark.parent.mkdir(parents=True, exist_ok=True)
    mark.touch()


def _end(world: World, checks: Sequence[Check]) -> None:
    failed = [check for check in checks if not check.ok]
    if not failed:
        return
    note(f"oncomentor: the demonstration is incomplete: {len(failed)} of {len(checks)} checks fail")
    for check in failed:
        note(f"  {check.told()}")
    ends = list(world.loose_ends())
    if ends:
        note(f"  still open: {ends[0]}" + (f" and {len(ends) - 1} more" if len(ends) > 1 else ""))
    raise typer.Exit(Exit.FAILED)
