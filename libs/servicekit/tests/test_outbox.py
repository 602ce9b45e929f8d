"""Appending events: dense sequences under a lock, ids, size, days; what old rows became."""

import asyncio
import random
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import asyncpg
import pytest
from aiokafka.partitioner import murmur2
from hypothesis import given
from hypothesis import strategies as st
from libs.servicekit.tests.relay_bench import a_receipt
from opentelemetry import trace as otel
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from oncomentor_contracts.envelope import Envelope, from_headers
from oncomentor_contracts.receipt import Problem, ReceiptRejected
from servicekit.errors import UnprocessableError
from servicekit.observing import trace
from servicekit.process import migrate
from servicekit.saying import record_headers
from servicekit.saying.housekeeping import Housekeeping
from servicekit.saying.outbox import Cause
from servicekit.saying.partition import partitions
from servicekit.saying.relay_cursor import Cursor
from servicekit.tx import Database, Tx
from testkit.postgres import Templates

CENTER = "north-center"


async def rows(tx: Tx) -> list[asyncpg.Record]:
    return await tx.conn.fetch("SELECT * FROM kit.outbox ORDER BY seq")


async def test_what_is_said_reads_back_as_the_envelope_it_was(tx: Tx) -> None:
    cause = Cause(traceparent=f"00-{'a1' * 16}-{'b2' * 8}-01", correlationid="c", causationid="d")
    await tx.say([a_receipt(tx, CENTER, "s")], cause)
    await tx.say([a_receipt(tx, CENTER, "s")])

    first, second = [
        (row, from_headers(record_headers.unpack(row["headers"], row["sequence"])))
        for row in await rows(tx)
    ]

    row, envelope = first
    assert envelope == Envelope(
        id=row["event_id"],
        source="/services/test",
        type="receipt.accepted.v1",
        subject="s",
        time=tx.now,
        sequence=1,
        dataschema="urn:oncomentor:schema:receipt.accepted.v1:1",
        traceparent=envelope.traceparent,
        correlationid="c",
        causationid="d",
    )
    assert (envelope.traceparent or "").startswith(f"00-{'a1' * 16}-")
    # In the order of the contract, in which they are read in one go.
    assert record_headers.unpack(row["headers"], row["sequence"]) == envelope.headers()
    assert (row["event_id"].version, row["said_on"]) == (7, tx.now.date())
    assert second[1].sequence == 2
    assert (second[1].correlationid, second[1].causationid) == (str(second[1].id), None)


async def test_thousands_of_events_get_their_own_subjects_sequences(tx: Tx) -> None:
    dice = random.Random(1)  # noqa: S311 - a workload
    counts: dict[str, int] = defaultdict(int)
    for _ in range(3):
        subjects = [f"subject-{dice.randrange(1500)}" for _ in range(2000)]
        await tx.say([a_receipt(tx, CENTER, subject) for subject in subjects])
    for row in await rows(tx):
        counts[row["subject"]] += 1
        assert row["sequence"] == counts[row["subject"]]
    assert sum(counts.values()) == 6000


async def test_writers_that_share_subjects_wait_for_each_other_and_never_deadlock(
    database: Database,
) -> None:
    async def write(seed: int) -> None:
        dice = random.Random(seed)  # noqa: S311 - a workload
        for _ in range(30):
            subjects = dice.sample(range(10), 8)
            async with database.transaction() as tx:
                await tx.say([a_receipt(tx, CENTER, f"subject-{n}") for n in subjects])

    await asyncio.gather(*(write(seed) for seed in range(8)))

    async with database.transaction() as tx:
        counts: dict[str, int] = defaultdict(int)
        for row in await rows(tx):
            counts[row["subject"]] += 1
            assert row["sequence"] == counts[row["subject"]]
    assert sum(counts.values()) == 8 * 30 * 8


async def test_the_http_edge_may_say_events_and_not_read_them(api_database: Database) -> None:
    async with api_database.transaction() as tx:
        await tx.say([a_receipt(tx, CENTER, f"subject-{n}") for n in range(300)])
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        async with api_database.transaction() as tx:
            await rows(tx)


async def test_an_event_that_no_reader_would_accept_is_refused(tx: Tx) -> None:
    problem = Problem(field="f", rule="r", message="m" * 200, fix="f" * 200)
    event = ReceiptRejected(
        institution_id=CENTER, receipt_for="s", problems=(problem,) * 2_500, at=tx.now
    )
    with pytest.raises(UnprocessableError, match=r"receipt\.rejected\.v1 would be"):
        await tx.say([event])


@given(st.lists(st.binary(max_size=40)), st.integers(1, 64))
def test_keys_go_where_kafkas_own_clients_send_them(keys: list[bytes], count: int) -> None:
    assert partitions(keys, count) == [(murmur2(key) & 0x7FFFFFFF) % count for key in keys]


@given(
    st.one_of(
        st.none(),
        st.text(max_size=60),
        st.from_regex(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}(-x)?", fullmatch=True),
        st.just(f"00-{'0' * 32}-{'b' * 16}-01"),
        st.just(f"00-{'a' * 32}-{'0' * 16}-01"),
    )
)
def test_a_trace_goes_on_exactly_where_opentelemetry_would_go_on(traceparent: str | None) -> None:
    carried = TraceContextTextMapPropagator().extract({"traceparent": traceparent or ""})
    expected = otel.get_current_span(carried).get_span_context()

    version, trace_id, span_id, flags = trace.child(traceparent).split("-")

    assert (version, flags, len(trace_id), len(span_id)) == ("00", "01", 32, 16)
    assert (int(trace_id, 16) == expected.trace_id) == expected.is_valid


async def day_tables(conn: "asyncpg.Connection[asyncpg.Record]") -> list[str]:
    found = await conn.fetch(
        "SELECT inhrelid::regclass::text AS name FROM pg_inherits"
        " WHERE inhparent = 'kit.outbox'::regclass ORDER BY 1"
    )
    return [row["name"] for row in found]


def day_table(days: int) -> str:
    return f"kit.outbox_{datetime.now(UTC) + timedelta(days=days):%Y%m%d}"


async def test_days_are_made_ahead_and_dropped_once_they_are_sent_and_old(
    database: Database, templates: Templates, database_name: str
) -> None:
    owner = await asyncpg.connect(templates.dsn(database_name, "test_owner"))
    conn = await asyncpg.connect(templates.dsn(database_name))
    for days in (9, 8, 7):
        day = f"current_date - {days}"
        await owner.execute(
            f"""
            DO $$ BEGIN EXECUTE format('CREATE TABLE %s PARTITION OF kit.outbox'
                ' FOR VALUES FROM (%L) TO (%L)', '{day_table(-days)}', {day}, {day} + 1); END $$
            """
        )
        await insert(owner, days)
    await insert(owner, 30)  # no relay was there to make the day: in the default partition
    cursor = Cursor(conn, "test")
    await cursor.take_over()

    await Housekeeping(7).keep(conn)
    there = set(await day_tables(conn))
    assert there >= {day_table(n) for n in (-9, -8, -7, 0, 1, 2)}  # nothing is sent yet

    window = await cursor.look()
    assert window is not None
    page = await cursor.page(window, window.last_seq)
    await cursor.move(window, page, {}, [])
    await insert(owner, 8)  # and this one is not
    await Housekeeping(7).keep(conn)

    assert day_table(-9) not in await day_tables(conn)
    assert day_table(-8) in await day_tables(conn)
    window = await cursor.look()
    assert window is not None
    await cursor.move(window, await cursor.page(window, window.last_seq), {}, [])
    await Housekeeping(7).keep(conn)

    assert await day_tables(conn) == sorted(
        [*(day_table(n) for n in (-7, 0, 1, 2)), "kit.outbox_other_days"]
    )
    assert await conn.fetchval("SELECT count(*) FROM kit.outbox") == 1
    await conn.close()
    await owner.close()


async def insert(conn: "asyncpg.Connection[asyncpg.Record]", days: int) -> None:
    await conn.execute(
        """
        INSERT INTO kit.outbox (said_on, topic, subject, sequence, event_id, headers)
        VALUES (current_date - $1::int, 't', 's', 1, gen_random_uuid(), '')
        """,
        days,
    )


async def test_old_entries_of_the_inbox_are_forgotten_and_younger_ones_kept(
    database: Database, templates: Templates, database_name: str
) -> None:
    conn = await asyncpg.connect(templates.dsn(database_name))
    await conn.execute(
        """
        INSERT INTO kit.inbox (topic, event_id, received_at)
        SELECT 't', gen_random_uuid(), now() - make_interval(days => n)
          FROM unnest(ARRAY[0, 21, 29, 31, 400]) AS n
        """
    )
    await Housekeeping(7).keep(conn)
    left = await conn.fetchval("SELECT count(*) FROM kit.inbox")
    await conn.close()
    assert left == 3


async def test_saying_and_sending_leave_no_dead_rows_behind(
    database: Database, templates: Templates, database_name: str
) -> None:
    conn = await asyncpg.connect(templates.dsn(database_name))
    cursor = Cursor(conn, "test")
    await cursor.take_over()
    for nth in range(300):
        async with database.transaction() as tx:
            await tx.say([a_receipt(tx, CENTER, f"subject-{nth}")])
        window = await cursor.look()
        assert window is not None
        await cursor.move(window, await cursor.page(window, window.last_seq), {}, [])
    await conn.execute("SELECT pg_stat_force_next_flush()")
    await conn.execute("SELECT 1")
    found = await conn.fetch(
        """
        SELECT relname, n_tup_upd + n_tup_del AS changed, n_tup_upd - n_tup_hot_upd AS not_hot,
               pg_relation_size(relid) AS bytes
          FROM pg_stat_user_tables
         WHERE relname = 'relay_cursors' OR relname LIKE 'outbox%' OR relname = 'subject_sequences'
        """
    )
    await conn.close()
    cursors = next(row for row in found if row["relname"] == "relay_cursors")
    assert cursors["changed"] >= 300
    assert cursors["not_hot"] <= 5
    assert cursors["bytes"] <= 8 * 8192
    assert all(row["changed"] == 0 for row in found if row["relname"] != "relay_cursors")


async def test_rows_of_the_old_outbox_are_kept_with_their_place_and_headers(
    templates: Templates, database_name: str, tmp_path: Path
) -> None:
    name = f"{database_name}_older"
    admin = await asyncpg.connect(templates.dsn("postgres", "postgres"))
    await admin.execute(f"CREATE DATABASE {name} OWNER test_owner")
    owner = await asyncpg.connect(templates.dsn(name, "test_owner"))
    known = migrate.read(tmp_path)
    older = [m for m in known if m.name < "kernel/0003"]
    await migrate.apply(owner, older)
    envelope = Envelope(
        id=UUID("01a214df-3c92-74f3-80a2-71455ce35c63"),
        source="/services/test",
        type="x.y.v1",
        subject="s",
        time=datetime(2026, 3, 2, tzinfo=UTC),
        sequence=5,
        dataschema="urn:x",
        traceparent=f"00-{'a1' * 16}-{'b2' * 8}-01",
        correlationid="c",
    )
    names, values = zip(*envelope.headers(), strict=True)
    for table in ("outbox", "outbox_held"):
        await owner.execute(
            f"""
            INSERT INTO kit.{table} (seq, said_on, topic, record_key, record_value, header_names,
                                     header_values) {"OVERRIDING SYSTEM VALUE" if table == "outbox" else ""}
            VALUES (7, current_date, 't', 's', 'v', $1, $2)
            """,  # noqa: S608 - one of two names
            list(names),
            list(values),
        )
    await migrate.apply(owner, known)

    for table in ("outbox", "outbox_held"):
        row = await owner.fetchrow(f"SELECT * FROM kit.{table}")  # noqa: S608 - one of two names
        assert row is not None
        headers = record_headers.unpack(row["headers"], row["sequence"])
        assert from_headers(headers) == envelope
        assert (row["seq"], row["topic"], row["subject"]) == (7, "t", "s")
    assert await owner.fetchval("SELECT nextval(pg_get_serial_sequence('kit.outbox', 'seq'))") == 8
    await owner.close()
    await templates.drop(name)
    await admin.close()
