"""`oncomentor restore`: what an operator does after a database was restored from a backup."""

from typing import Annotated

import typer

from oncomentor_cli.console import command

app = typer.Typer(
    help="""Bring a service back after its database was restored.

\b
  oncomentor restore reconcile profile
""",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@app.callback()
def restore() -> None:
    """Keep `reconcile` a command of its own, though it is the only one."""


@app.command(epilog="Example: oncomentor restore reconcile profile --json | jq .unknown")
@command
def reconcile(
    service: Annotated[str, typer.Argument(help="Such as profile.", show_default=False)],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Let a service's history go on behind what Kafka has of it; its relay then sends again.

    The relay of a database that went back to an earlier time stops, and readiness says so. This
    reads what Kafka has beyond it, raises the counters, and prints: `unknown` records that the
    database lost, subjects `raised`, waiting rows `dropped` (Kafka has them) and `renumbered`.
    Where the embedded stack is not used: python -m <service>_service --reconcile, with the
    service's own settings.
    """
    from oncomentor_cli import embedded  # noqa: PLC0415 - `--help` has to answer at once

    embedded.reconcile(service, as_json=as_json)
