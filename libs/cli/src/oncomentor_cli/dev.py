"""`oncomentor dev`: the arguments of its commands. Like `app`, it imports what runs at run time."""

from typing import Annotated

import typer

from oncomentor_cli.console import command

app = typer.Typer(
    help="""Run a real Kafka, PostgreSQL, identity provider, mail catcher and the services here.

\b
  oncomentor dev up
  oncomentor dev provision my-center
  oncomentor dev logs matching --follow
  oncomentor dev reset --yes
""",
    no_args_is_help=True,
    rich_markup_mode=None,
)
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, one object per line.")]


@app.command(epilog="Example: oncomentor dev up --json")
@command
def up(as_json: JsonOption = False) -> None:
    """Start what isn't running, with its data, and print where everything is."""
    from oncomentor_cli import embedded  # noqa: PLC0415 - see the module's docstring

    embedded.up(as_json=as_json)


@app.command()
@command
def down() -> None:
    """End the stack; data stays."""
    from oncomentor_cli import embedded  # noqa: PLC0415 - see the module's docstring

    embedded.down()


@app.command(epilog="Example: oncomentor dev status --json | jq 'select(.state != \"up\")'")
@command
def status(as_json: JsonOption = False) -> None:
    """Print how each part is. Exit code 3 when one is not up."""
    from oncomentor_cli import embedded  # noqa: PLC0415 - see the module's docstring

    embedded.status(as_json=as_json)


@app.command(epilog="Example: oncomentor dev logs kafka -n 200")
@command
def logs(
    part: Annotated[str, typer.Argument(help="Such as kafka or matching.", show_default=False)],
    lines: Annotated[int, typer.Option("-n", "--lines", min=0, help="How many.")] = 50,
    follow: Annotated[bool, typer.Option("-f", "--follow", help="Go on; Ctrl-C ends it.")] = False,
) -> None:
    """Print the end of a part's log."""
    from oncomentor_cli import embedded  # noqa: PLC0415 - see the module's docstring

    embedded.logs(part, lines, follow=follow)


@app.command(epilog="Example: oncomentor dev reset --yes")
@command
def reset(yes: Annotated[bool, typer.Option("--yes", help="Don't ask.")] = False) -> None:
    """End the stack and delete all its data, secrets, credentials and journals."""
    from oncomentor_cli import embedded  # noqa: PLC0415 - see the module's docstring

    embedded.reset(yes=yes)


@app.command(epilog="Example: oncomentor dev provision harbor-demo --against compose")
@command
def provision(
    institutions: Annotated[list[str], typer.Argument(help="Ids of centers.", show_default=False)],
    against: Annotated[
        str, typer.Option(help="embedded, or compose: the containers that run already.")
    ] = "embedded",
    as_json: JsonOption = False,
) -> None:
    """Let centers in: topics, Kafka user and rights, client, credentials file.

    One that is in already keeps its keys. The registry is another thing: an operator registers
    a center with PUT /v1/institutions/<id>.
    """
    from oncomentor_cli import embedded  # noqa: PLC0415 - see the module's docstring
    from oncomentor_cli.network import chosen  # noqa: PLC0415 - the same

    embedded.provision(institutions, against=chosen(against), as_json=as_json)
