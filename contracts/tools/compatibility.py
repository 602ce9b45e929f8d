"""The gate: today's events and those of every frozen revision can be read by each other's readers.

A break is found by `containment`, which can name it, or by `jsoncompat`, which cannot: whichever
is stricter counts.
"""

import json
from dataclasses import dataclass

from jsoncompat import check_compat

from containment import ANY, Containment, Gap
from schemas import Schema, Schemas


@dataclass(frozen=True, slots=True)
class Break:
    """One way in which two revisions of an event cannot live together."""

    event: str
    field: str
    rule: str
    sentence: str
    """Names the event, the field and the rule, and says what to do."""


def breaks(event_type: str, revision: int, old: Schemas, new: Schemas) -> list[Break]:
    """Return what keeps frozen `revision` of an event and today's from reading each other.

    Backward: today's reader takes what the old writer wrote. Forward: the old reader takes what
    is written today; a word that it does not know yet reads as `unknown` there, so the known
    words may grow and never shrink.
    """
    then, now = f"an event of revision {revision}", "an event written today"
    backward = Containment(old.writer, new.reader).gaps()
    forward = [gap for gap in Containment(new.writer, old.reader).gaps() if not _one_word(gap)]
    found = [
        *(_break(event_type, gap, then, "today's reader") for gap in backward),
        *(_break(event_type, gap, now, f"a reader of revision {revision}") for gap in forward),
    ]
    if not backward and not _agreed(old.writer, new.reader):
        found.append(_unnamed(event_type, then, "today's reader"))
    if not forward and not _agreed(new.writer, old.reader):
        found.append(_unnamed(event_type, now, f"a reader of revision {revision}"))
    return found


def successor(event_type: str) -> str:
    """Return the type that a breaking change is said as: `match.cleared.v2` after `.v1`."""
    stem, _, version = event_type.rpartition(".v")
    return f"{stem}.v{int(version) + 1}"


def _one_word(gap: Gap) -> bool:
    return gap.rule == "known_values" and gap.written != ANY


def _break(event_type: str, gap: Gap, writer: str, reader: str) -> Break:
    place = f"field {gap.path}" if gap.path else "the whole event"
    beside = f"or say {successor(event_type)} beside it"
    if _one_word(gap):
        what = f"value {gap.written} was removed from the known values; keep it, {beside}"
    else:
        what = (
            f"{writer} may hold {gap.written}, but {reader} takes {gap.taken} ({gap.rule}); "
            f"take the change back, {beside}"
        )
    return Break(event_type, gap.path, gap.rule, f"{event_type}, {place}: {what}")


def _agreed(writer: Schema, reader: Schema) -> bool:
    return check_compat(_anonymous(writer), _anonymous(reader), "deserializer")


def _anonymous(schema: Schema) -> str:
    # jsoncompat takes `$id` for a reference that it cannot follow.
    return json.dumps({name: part for name, part in schema.items() if name != "$id"})


def _unnamed(event_type: str, writer: str, reader: str) -> Break:
    sentence = (
        f"{event_type}, some field: jsoncompat finds that {reader} refuses {writer} (jsoncompat); "
        f"compare the two schemas, or say {successor(event_type)} beside it"
    )
    return Break(event_type, "", "jsoncompat", sentence)
