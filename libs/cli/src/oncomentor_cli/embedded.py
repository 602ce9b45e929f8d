"""What `oncomentor dev` does with the embedded stack."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import typer

from devstack.errors import DevstackError
from devstack.registry import check_id
from devstack.stack import Stack
from oncomentor_cli.console import emit, note, show
from oncomentor_cli.exits import Exit
from oncomentor_cli.network import Against, network
from oncomentor_cli.table import show_table

STARTED_BY_DEMO = Path("demo") / "started-stack"
"""In the stack's folder: there while a demo owes it to end the stack it started."""
_OWN_FOLDERS = ("journal", "demo")  # what commands keep there; it goes with the network's data
_POLL_SECONDS = 0.2


def up(*, as_json: bool) -> None:
    """Start it and show where everything is."""
    made = stack()
    made.up()
    (made.home.root / STARTED_BY_DEMO).unlink(missing_ok=True)
    _show_status(made, as_json=as_json)


def down() -> None:
    """End it."""
    stack().down()
    note("the stack is down; its data stays")


def status(*, as_json: bool) -> None:
    """Show how each part is; exit code 3 when one is not up."""
    if not _show_status(stack(), as_json=as_json):
        raise typer.Exit(Exit.UNREACHABLE)


def logs(part: str, lines: int, *, follow: bool) -> None:
    """Print the end of a log, and go on with it when asked to."""
    known = {one.name: one.log for one in stack().status()}
    if part not in known:
        raise typer.BadParameter(f"there is no part '{part}': there are {', '.join(known)}")
    if not known[part].exists():
        note(f"{part} has no log yet: start it with 'oncomentor dev up'")
        raise typer.Exit(Exit.UNREACHABLE)
    _print_log(known[part], lines, follow=follow)


def reconcile(service: str, *, as_json: bool) -> None:
    """Run a service's `--reconcile` with its settings, and show what it did."""
    environment = {**os.environ, **stack().service_environment(service)}
    done = subprocess.run(
        (sys.executable, "-m", f"{service}_service", "--reconcile"),
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        note(done.stderr.strip() or done.stdout.strip())
        raise typer.Exit(Exit.FAILED)
    lines = (json.loads(line) for line in done.stdout.splitlines() if line.startswith("{"))
    told = next(line for line in lines if line.get("event") == "reconciled")
    counts = {name: told[name] for name in ("unknown", "raised", "dropped", "renumbered")}
    if as_json:
        emit({"service": service, **counts})
        return
    show(f"{service}: " + ", ".join(f"{count} {name}" for name, count in counts.items()))


def reset(*, yes: bool) -> None:
    """Delete everything, after a yes."""
    made = stack()
    if not yes and not sys.stdin.isatty():
        raise typer.BadParameter("nobody can be asked here: say --yes to delete everything")
    if not made.reset(yes=yes, ask=lambda question: typer.confirm(question, err=True)):
        note("nothing was deleted")
        raise typer.Exit(Exit.FAILED)
    for name in _OWN_FOLDERS:
        shutil.rmtree(made.home.root / name, ignore_errors=True)
    note("everything was deleted")


def provision(institutions: Sequence[str], *, against: Against, as_json: bool) -> None:
    """Let centers in, and print where their credentials are."""
    for institution_id in institutions:
        try:
            check_id(institution_id)
        except DevstackError as error:
            raise typer.BadParameter(str(error)) from error
    for credentials in network(against, note).provision(institutions):
        if as_json:
            emit({"institution_id": credentials.institution_id, "credentials": credentials.path})
        else:
            show(str(credentials.path))


def stack() -> Stack:
    """Return the stack of this checkout; what it does is told on standard error."""
    begun = time.monotonic()
    return Stack(progress=lambda text: note(f"{time.monotonic() - begun:5.1f} s  {text}"))


def _show_status(made: Stack, *, as_json: bool) -> bool:
    """Print one row per part; return whether all are up."""
    parts = made.status()
    if as_json:
        for one in parts:
            emit(
                {
                    "name": one.name,
                    "state": one.state,
                    "address": one.address,
                    "pid": one.pid,
                    "memory_mb": round(one.memory_mb),
                    "age_seconds": round(one.age_seconds),
                    "log": one.log,
                }
            )
    else:
        show_table(
            ("part", "state", "address", "pid", "memory", "age", "log"),
            [
                (
                    one.name,
                    one.state,
                    one.address,
                    str(one.pid or "-"),
                    f"{one.memory_mb:.0f} MB" if one.pid else "-",
                    f"{timedelta(seconds=round(one.age_seconds))}" if one.pid else "-",
                    str(one.log),
                )
                for one in parts
            ],
        )
    ready = all(one.state == "up" for one in parts)
    if not ready:
        note(
            "what is not up: 'oncomentor dev up' starts it with its data; its log says why it ended"
        )
    return ready


def _print_log(path: Path, lines: int, *, follow: bool) -> None:
    with path.open(encoding="utf-8", errors="replace") as file:
        kept = file.readlines()[-lines:] if lines else file.readlines()[:0]
        sys.stdout.write("".join(kept))
        while follow:
            sys.stdout.flush()
            if line := file.readline():
                sys.stdout.write(line)
            else:
                time.sleep(_POLL_SECONDS)
