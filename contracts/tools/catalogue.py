"""The table of all events that stands in the README, between two markers."""

import inspect
import re
from collections.abc import Iterable

from oncomentor_contracts.event import Event

BEGIN = "<!-- catalogue: written by `make schemas` -->"
END = "<!-- end of the catalogue -->"


def with_catalogue(readme: str, events: Iterable[type[Event]]) -> str:
    """Return the README with the table of these events between its markers.

    Raises:
        ValueError: a marker is missing.
    """
    between = re.compile(f"(?<={re.escape(BEGIN)}\n).*(?={re.escape(END)})", re.DOTALL)
    if not between.search(readme):
        raise ValueError(f"the README needs a line {BEGIN} and below it a line {END}")
    return between.sub(lambda _: f"\n{_table(events)}\n", readme)


def summary(event: type[Event]) -> str:
    """Return the first line of the event's description."""
    return str(inspect.getdoc(event)).partition("\n")[0]


def _table(events: Iterable[type[Event]]) -> str:
    lines = [
        "| type | topic | who says it | who hears it | subject and key | what |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    lines += [
        f"| `{event.TYPE}`{' (deletion)' if event.TOMBSTONE else ''} | `{event.TOPIC.name}` "
        f"| {_names(event.TOPIC.writers)} | {_names(event.TOPIC.readers)} "
        f"| `{event.SUBJECT}` | {summary(event)} |"
        for event in events
    ]
    return "\n".join(lines) + "\n"


def _names(principals: Iterable[str]) -> str:
    return ", ".join(sorted(principals))
