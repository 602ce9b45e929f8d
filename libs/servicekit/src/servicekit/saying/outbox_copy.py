"""The outbox's rows in PostgreSQL's binary COPY format: the cheapest way in.

`copy_records_to_table` would ask for SELECT on the table, which the HTTP edge does not have, and an
INSERT of arrays costs twice as much.
"""

from collections.abc import AsyncIterator, Iterable
from datetime import date
from struct import Struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from servicekit.tx import Connection

Row = tuple[str, str, int, str, bytes, bytes | None]
"""Topic, subject, sequence, event id, headers, value."""
_COLUMNS = ["said_on", "topic", "subject", "sequence", "event_id", "headers", "record_value"]
# Source: PostgreSQL, "COPY", Binary Format: signature, flags, extension; -1 ends, and is NULL.
_HEAD, _END, _NULL = b"PGCOPY\n\xff\r\n\0" + bytes(8), b"\xff\xff", b"\xff\xff\xff\xff"
_DAY_ZERO = date(2000, 1, 1)
_FIRST = Struct(">hii")  # number of fields, date
_LENGTH = Struct(">i")
_MIDDLE = Struct(">iqi16si")  # sequence, id, length of the headers


async def insert(conn: "Connection", said_on: date, rows: Iterable[Row]) -> None:
    """Insert rows in this order."""
    await conn.copy_to_table(
        "outbox", schema_name="kit", columns=_COLUMNS, format="binary", source=_once(said_on, rows)
    )


async def _once(said_on: date, rows: Iterable[Row]) -> AsyncIterator[bytes]:
    first = _FIRST.pack(len(_COLUMNS), 4, (said_on - _DAY_ZERO).days)
    parts = [_HEAD]
    for topic, subject, sequence, event_id, headers, value in rows:
        topic_text, subject_text = topic.encode(), subject.encode()
        parts += (
            first,
            _LENGTH.pack(len(topic_text)),
            topic_text,
            _LENGTH.pack(len(subject_text)),
            subject_text,
            _MIDDLE.pack(8, sequence, 16, bytes.fromhex(event_id.replace("-", "")), len(headers)),
            headers,
            _NULL if value is None else _LENGTH.pack(len(value)),
            value or b"",
        )
    parts.append(_END)
    yield b"".join(parts)
