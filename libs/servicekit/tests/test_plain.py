"""The usual way of applying a slice and the careful one: the same where both go."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from oncomentor_contracts.envelope import Envelope
from oncomentor_contracts.event import Event
from oncomentor_contracts.identifiers import uuid7
from oncomentor_contracts.institution import InstitutionChanged, InstitutionDeleted
from oncomentor_contracts.topics import PROFILE_INSTITUTION
from servicekit.edge.ingress import HttpRecord
from servicekit.hearing.apply import Outcome, apply_plainly, apply_records
from servicekit.hearing.backlog import Judged
from servicekit.hearing.novelty import ForkError, NotPlainError
from servicekit.hearing.verdict import judge
from servicekit.subscription import Bulk, Subscription
from servicekit.tx import Tx
from testkit.plugin import NOW

TOPIC = "profile.institution"


async def hear(event: InstitutionChanged, tx: Tx) -> Sequence[Event]:
    if event.name == "broken":
        raise ZeroDivisionError
    await tx.conn.execute(
        "INSERT INTO heard (topic, subject, word) VALUES ('s', $1, $2)",
        event.institution_id,
        event.name,
    )
    return [event]


async def hear_all(events: Sequence[InstitutionChanged], tx: Tx) -> Sequence[Event]:
    return [said for event in events for said in await hear(event, tx)]


ONE = Subscription(PROFILE_INSTITUTION, {InstitutionChanged: hear})
ALL = Subscription(PROFILE_INSTITUTION, {InstitutionChanged: Bulk(hear_all)})


def a_state(subject: str, sequence: int, name: str = "a name", offset: int = 0) -> Judged:
    event = InstitutionChanged.model_validate(
        {
            "institution_id": subject,
            "name": name,
            "time_zone": "Europe/Lisbon",
            "jurisdiction": "PT",
            "policy": {},
            "state": "active",
        }
    )
    return as_judged(event, subject, sequence, offset)


def as_judged(event: Event, subject: str, sequence: int, offset: int = 0) -> Judged:
    envelope = Envelope(
        id=uuid7(NOW),
        source="/services/profile",
        type=event.TYPE,
        subject=subject,
        time=NOW,
        sequence=sequence,
    )
    record = HttpRecord(TOPIC, subject.encode(), event.data(), envelope.headers(), 0, offset)
    return record, judge(record, PROFILE_INSTITUTION)


async def left_behind(tx: Tx, outcome: Outcome) -> list[Any]:
    """Return what an application left: rows, what was said, counts; ids of new events aside."""
    tables = [
        "SELECT subject, word FROM heard ORDER BY nth",
        "SELECT subject_key, sequence, event_id FROM kit.applied_subjects ORDER BY subject_key",
        "SELECT topic, subject, sequence, record_value FROM kit.outbox ORDER BY seq",
        "SELECT reason_class, state FROM kit.quarantine ORDER BY record_offset",
    ]
    rows = [[tuple(row) for row in await tx.conn.fetch(sql)] for sql in tables]
    return [*rows, outcome.applied, outcome.duplicates, outcome.passed_over, len(outcome.said)]


async def done(tx: Tx, judged: Sequence[Judged], subscription: Subscription, apply: Any) -> Any:
    """Return what `apply` leaves behind, or the error's type, and take it back."""
    transaction = tx.conn.transaction()
    await transaction.start()
    try:
        return await left_behind(tx, await apply(tx, subscription, TOPIC, judged))
    except (NotPlainError, ForkError, ZeroDivisionError) as error:
        return type(error)
    finally:
        await transaction.rollback()


steps = st.lists(
    st.tuples(st.sampled_from(["north-test", "south-test"]), st.integers(1, 4)),
    min_size=1,
    max_size=6,
)


@pytest.mark.parametrize("subscription", [ONE, ALL], ids=["one by one", "in bulk"])
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(before=steps, slice_=steps)
async def test_where_the_usual_way_goes_the_careful_one_leads_to_the_same(
    tx: Tx,
    subscription: Subscription,
    before: list[tuple[str, int]],
    slice_: list[tuple[str, int]],
) -> None:
    outer = tx.conn.transaction()
    await outer.start()
    try:
        highest: dict[str, int] = {}
        for subject, sequence in before:
            if sequence > highest.get(subject, 0):
                highest[subject] = sequence
                await apply_records(tx, subscription, TOPIC, [a_state(subject, sequence)])
        judged = [a_state(subject, sequence) for subject, sequence in slice_]

        usual = await done(tx, judged, subscription, apply_plainly)
        careful = await done(tx, judged, subscription, apply_records)

        plain = True
        for subject, sequence in slice_:
            plain &= sequence > highest.get(subject, 0)
            highest[subject] = max(sequence, highest.get(subject, 0))
        assert usual == (careful if plain else NotPlainError)
    finally:
        await outer.rollback()


async def test_a_repeat_makes_a_slice_not_plain_and_counts_as_one(tx: Tx) -> None:
    first = a_state("north-test", 1)
    await apply_plainly(tx, ALL, TOPIC, [first])

    again = [first, a_state("south-test", 1)]

    assert await done(tx, again, ALL, apply_plainly) is NotPlainError
    outcome = await apply_records(tx, ALL, TOPIC, again)
    assert (outcome.applied, outcome.duplicates) == (1, 1)


async def test_two_events_of_one_sequence_are_a_fork_and_never_a_repeat(tx: Tx) -> None:
    await apply_plainly(tx, ALL, TOPIC, [a_state("north-test", 3)])

    other = [a_state("north-test", 3, "another history")]

    assert await done(tx, other, ALL, apply_plainly) is NotPlainError
    assert await done(tx, other, ALL, apply_records) is ForkError


async def test_a_deletion_does_not_let_an_older_state_come_back(tx: Tx) -> None:
    gone = InstitutionDeleted.model_validate({"institution_id": "north-test"})
    await apply_plainly(tx, ALL, TOPIC, [as_judged(gone, "north-test", 5)])

    outcome = await apply_records(tx, ALL, TOPIC, [a_state("north-test", 4)])

    assert (outcome.applied, outcome.duplicates) == (0, 1)


async def test_a_broken_state_is_replaced_by_the_next_one(tx: Tx) -> None:
    judged = [
        a_state("north-test", 1, "broken", offset=1),
        a_state("south-test", 1, "fine", offset=2),
        a_state("north-test", 2, "mended", offset=3),
    ]

    assert await done(tx, judged, ALL, apply_plainly) is ZeroDivisionError
    outcome = await apply_records(tx, ALL, TOPIC, judged)

    words = await tx.conn.fetch("SELECT word FROM heard ORDER BY nth")
    assert [row["word"] for row in words] == ["fine", "mended"]
    assert [item.reason_class for item in outcome.parked] == ["handler_failed"]


async def test_the_key_of_a_subject_is_the_same_in_sql(tx: Tx) -> None:
    subject: UUID = uuid4()
    from_sql = await tx.conn.fetchval("SELECT kit.subject_key($1, $2)", TOPIC, str(subject))
    await apply_records(tx, ALL, TOPIC, [a_state("north-test", 1)])

    known = await tx.conn.fetchval(
        "SELECT sequence FROM kit.applied_subjects WHERE subject_key = kit.subject_key($1, $2)",
        TOPIC,
        "north-test",
    )

    assert len(from_sql) == 16
    assert known == 1
