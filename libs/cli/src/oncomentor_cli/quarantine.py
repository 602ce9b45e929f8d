"""`oncomentor quarantine`: the arguments of its commands. Like `app`, it imports at run time."""

from pathlib import Path
from typing import Annotated

import typer

from oncomentor_cli.console import command

app = typer.Typer(
    help="""Records that a service could not apply: look at them, apply them after all, or give up.

\b
  oncomentor quarantine list
  oncomentor quarantine show matching-17
  oncomentor quarantine retry matching-17
  oncomentor quarantine discard matching-17 --reason "sent by a test system"
""",
    no_args_is_help=True,
    rich_markup_mode=None,
)
IdArgument = Annotated[
    str, typer.Argument(help="As `list` shows it, such as matching-17.", show_default=False)
]
OptionalId = Annotated[
    str | None, typer.Argument(help="As `list` shows it, such as matching-17.", show_default=False)
]
ServiceOption = Annotated[
    str | None, typer.Option(help="One service [default: all].", show_default=False)
]
ReasonOption = Annotated[
    str | None,
    typer.Option("--reason", help="A reason class, such as handler_failed.", show_default=False),
]
SubjectOption = Annotated[
    str | None, typer.Option(help="Records about this id.", show_default=False)
]
TopicOption = Annotated[str | None, typer.Option(help="Records of this topic.", show_default=False)]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, one object per line.")]
CredentialsOption = Annotated[
    Path | None,
    typer.Option(help="The operator's file, when it is not the stack's.", show_default=False),
]


@app.command(
    "list",
    epilog="""\b
Examples:
  oncomentor quarantine list --reason handler_failed
  oncomentor quarantine list --service matching --json | jq .id
""",
)
@command
def list_(  # noqa: PLR0913 - a command has as many as it has options
    *,
    service: ServiceOption = None,
    reason: ReasonOption = None,
    subject: SubjectOption = None,
    topic: TopicOption = None,
    followers: Annotated[
        bool, typer.Option("--followers", help="Also those that only wait behind another.")
    ] = False,
    limit: Annotated[int, typer.Option(help="Rows of each service.", min=1, max=1000)] = 100,
    as_json: JsonOption = False,
    credentials: CredentialsOption = None,
) -> None:
    """Print what is in quarantine: counts by reason, then records, the longest waiting first.

    `superseded` means that the subject has moved past the record: discard it.
    """
    from oncomentor_cli.casework import Wanted, list_records  # noqa: PLC0415 - see the module's docstring

    wanted = Wanted(service, reason, subject, topic)
    list_records(wanted, credentials, limit=limit, followers=followers, as_json=as_json)


@app.command(
    epilog="""\b
Examples:
  oncomentor quarantine show matching-17
  oncomentor quarantine show matching-17 --bytes /tmp/value.json
"""
)
@command
def show(
    record: IdArgument,
    *,
    bytes_file: Annotated[
        Path | None,
        typer.Option(
            "--bytes",
            help="Also write the value to this new file, for you alone; the service logs it.",
            show_default=False,
        ),
    ] = None,
    as_json: JsonOption = False,
    credentials: CredentialsOption = None,
) -> None:
    """Print everything known of a record, but not its value, which may be personal data."""
    from oncomentor_cli.casework import show_record  # noqa: PLC0415 - see the module's docstring

    show_record(record, bytes_file, credentials, as_json=as_json)


@app.command(
    epilog="""\b
Examples:
  oncomentor quarantine retry matching-17
  oncomentor quarantine retry --reason handler_failed --service matching
  oncomentor quarantine retry --subject 0195d6a0-3b2c-7c1e-9c7a-0d9a4b3c2e11
"""
)
@command
def retry(  # noqa: PLR0913 - the same
    record: OptionalId = None,
    *,
    service: ServiceOption = None,
    reason: ReasonOption = None,
    subject: SubjectOption = None,
    topic: TopicOption = None,
    as_json: JsonOption = False,
    credentials: CredentialsOption = None,
) -> None:
    """Apply records with today's code and contracts, and in order what waited behind them.

    What would fail again is refused, says why and stays as it was (exit code 1). A run that was
    cut off is completed by the same command.
    """
    from oncomentor_cli.casework import Wanted, retry_records  # noqa: PLC0415 - see the module's docstring

    wanted = Wanted(service, reason, subject, topic)
    retry_records(record, wanted, credentials, as_json=as_json)


@app.command(
    epilog="""\b
Examples:
  oncomentor quarantine discard matching-17 --reason "sent by a test system"
  oncomentor quarantine discard --superseded --reason "newer states were applied" --yes
"""
)
@command
def discard(  # noqa: PLR0913 - the same
    record: OptionalId = None,
    *,
    reason: Annotated[
        str, typer.Option("--reason", help="Why; it is kept. No personal data.", show_default=False)
    ],
    superseded: Annotated[
        bool, typer.Option("--superseded", help="All that their subjects have moved past.")
    ] = False,
    service: ServiceOption = None,
    yes: Annotated[bool, typer.Option("--yes", help="Don't ask.")] = False,
    as_json: JsonOption = False,
    credentials: CredentialsOption = None,
) -> None:
    """Give records up: they are never applied. Their bytes are kept, with who, when and why.

    On topics of facts the subject goes on with what waited behind the record.
    """
    from oncomentor_cli.casework import Discard, discard_records  # noqa: PLC0415 - see the module's docstring

    request = Discard(record, service, reason, superseded=superseded, yes=yes)
    discard_records(request, credentials, as_json=as_json)
