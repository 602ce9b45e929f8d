"""The commands, their arguments and their help.

What they do is in modules that are imported only when they run: `--help` has to answer at once.
"""

from pathlib import Path
from typing import Annotated

import typer

from oncomentor_cli import dev, quarantine, restore
from oncomentor_cli.console import command
from oncomentor_cli.exits import EPILOG

# Help is plain text: rendering it with rich costs more than everything else together.
app = typer.Typer(
    name="oncomentor",
    help="""Mentorship across cancer centers: run the network, publish people, watch matches.

\b
  oncomentor demo                                       the whole story in a minute
  oncomentor dev up                                     run the network on this machine
  oncomentor validate people.csv                        find every error in a file
  oncomentor publish people.csv --as my-center          publish it, resumable
  oncomentor tail match --as my-center --from beginning
  oncomentor quarantine list                            what could not be applied
""",
    epilog=f"\b\n{EPILOG}",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
app.add_typer(dev.app, name="dev")
app.add_typer(quarantine.app, name="quarantine")
app.add_typer(restore.app, name="restore")

FileArgument = Annotated[Path, typer.Argument(help="CSV or JSONL of people.", show_default=False)]
FormatOption = Annotated[
    str | None, typer.Option("--format", help="csv or jsonl, when the name doesn't tell.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, one object per line.")]
CredentialsOption = Annotated[
    Path | None,
    typer.Option(help="Credentials file, when it is not the embedded stack's.", show_default=False),
]


@app.command(epilog="Example: oncomentor validate people.csv --json | jq .problems")
@command
def validate(
    file: FileArgument, file_format: FormatOption = None, as_json: JsonOption = False
) -> None:
    """Judge every row of a file as the network would; nothing is sent.

    Prints each wrong row with field, rule and fix. What the network alone knows (which
    programmes a center takes part in) is told by `publish`.
    """
    from oncomentor_cli.validate import run  # noqa: PLC0415 - see the module's docstring

    run(file, file_format, as_json=as_json)


@app.command(
    epilog="""\b
Examples:
  oncomentor publish people.csv --as harbor-demo --dry-run
  oncomentor publish people.jsonl --as ridge-demo --via http --json
"""
)
@command
def publish(  # noqa: PLR0913 - a command has as many as it has options
    file: FileArgument,
    *,
    institution: Annotated[
        str, typer.Option("--as", help="The center that publishes.", show_default=False)
    ],
    via: Annotated[str, typer.Option(help="kafka or http.")] = "kafka",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be sent; send nothing.")
    ] = False,
    as_json: JsonOption = False,
    file_format: FormatOption = None,
    credentials: CredentialsOption = None,
    journal: Annotated[
        Path | None,
        typer.Option(help="The journal's folder [default: beside the credentials]."),
    ] = None,
    patience: Annotated[
        float, typer.Option(help="Seconds to wait for a receipt after the last one.", min=0)
    ] = 60.0,
    accept_key: Annotated[
        str | None, typer.Option(help="Thumbprint of a new intake key that the operator announced.")
    ] = None,
) -> None:
    """Publish a center's people, each row once, and wait for every receipt.

    Rows that the network has already are not sent. A run that was cut off, by whatever, is
    completed by the same command. Bad rows are printed and cost nobody else.
    """
    from oncomentor_cli.publish import Request, run  # noqa: PLC0415 - see the module's docstring

    run(
        Request(
            file=file,
            file_format=file_format,
            institution=institution,
            via=via,
            dry_run=dry_run,
            as_json=as_json,
            credentials=credentials,
            journal=journal,
            patience_seconds=patience,
            accept_key=accept_key,
        )
    )


@app.command(
    epilog="""\b
Examples:
  oncomentor tail match --as harbor-demo --from beginning
  oncomentor tail matching.match --as downstream --json | jq .data
"""
)
@command
def tail(  # noqa: PLR0913 - the same
    topic: Annotated[
        str,
        typer.Argument(
            help="A topic, or its last word: for a center `match` is its egress topic.",
            show_default=False,
        ),
    ],
    *,
    holder: Annotated[
        str, typer.Option("--as", help="A center, or downstream.", show_default=False)
    ],
    start: Annotated[
        str, typer.Option("--from", help="beginning, now, or an instant such as 2026-03-02T09:00Z.")
    ] = "now",
    limit: Annotated[int | None, typer.Option(help="End after so many records.", min=1)] = None,
    idle: Annotated[
        float | None, typer.Option(help="End when nothing came for so many seconds.", min=0)
    ] = None,
    as_json: JsonOption = False,
    credentials: CredentialsOption = None,
) -> None:
    """Print the records of a topic as they come; Ctrl-C ends it.

    Records of an unknown type, and malformed ones, are printed as such.
    """
    from oncomentor_cli.tail import Request, run  # noqa: PLC0415 - see the module's docstring

    run(Request(topic, holder, start, limit, idle, as_json, credentials))


@app.command(epilog="Example: oncomentor doctor --against compose --json | jq 'select(.problem)'")
@command
def doctor(
    against: Annotated[
        str, typer.Option(help="embedded, or compose: the containers of docker-compose.yml.")
    ] = "embedded",
    as_json: JsonOption = False,
) -> None:
    """Look at everything the network needs, and say what is wrong and how to mend it.

    Secrets, engine, ports, volumes, versions, and each part's own word. Exit code 1 when
    something is wrong. Nothing is changed.
    """
    from oncomentor_cli.doctor import run  # noqa: PLC0415 - see the module's docstring
    from oncomentor_cli.network import chosen  # noqa: PLC0415 - the same

    run(chosen(against), as_json=as_json)


@app.command(
    epilog="""\b
Examples:
  oncomentor demo --keep
  oncomentor demo --against compose --json
"""
)
@command
def demo(
    *,
    keep: Annotated[
        bool, typer.Option("--keep", help="Leave the stack running at the end.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print a summary as one JSON object.")
    ] = False,
    against: Annotated[
        str, typer.Option(help="embedded, or compose: the containers that run already.")
    ] = "embedded",
) -> None:
    """Three synthetic centers, from their files to calendar invitations, checked step by step.

    Starts the stack if it isn't running (and then ends it), publishes about 60 made-up people,
    answers for their centers, and prints what happened. Any step that is missing is named and
    makes the exit code 1. Run it twice: nothing is doubled.
    """
    from oncomentor_cli.demo.run import run  # noqa: PLC0415 - see the module's docstring
    from oncomentor_cli.network import chosen  # noqa: PLC0415 - the same

    run(keep=keep, as_json=as_json, against=chosen(against))
