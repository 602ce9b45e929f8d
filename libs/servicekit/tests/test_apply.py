from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from uuid import UUID, uuid4

import asyncpg
import pytest

from oncomentor_contracts.envelope import Envelope, Header
from oncomentor_contracts.event import Event
from oncomentor_contracts.identifiers import uuid7
from oncomentor_contracts.matching import ClearedBy, MatchAccepted, MatchCleared, Side
from oncomentor_contracts.topics import MATCHING_MATCH
from servicekit.edge.ingress import HttpRecord
from servicekit.errors import TransientError, UnprocessableError
from servicekit.hearing.apply import Outcome, apply_records
from servicekit.hearing.novelty import ForkError
from servicekit.hearing.verdict import Record, Verdict, judge
from servicekit.subscription import Bulk, Refusal, Subscription
from servicekit.tx import Tx

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)


def a_clearance(
    match_id: UUID, sequence: int, word: str = "harbor-test", event_id: UUID | None = None
) -> tuple[Record, Verdict]:
    event = MatchCleared(match_id=match_id, institution_id=word, by=ClearedBy.POLICY)
    return as_record(event, sequence, event_id)


def as_record(event: Event, sequence: int, event_id: UUID | None = None) -> tuple[Record, Verdict]:
    envelope = Envelope(
        id=event_id or uuid7(NOW),
        source="/services/matching",
        type=event.TYPE,
        subject=event.subject,
        time=NOW,
        sequence=sequence,
    )
    headers: list[Header] = list(envelope.headers())
    record = HttpRecord(
        "matching.match", event.subject.encode(), event.data(), headers, 0, next(offsets)
    )
    return record, judge(record, MATCHING_MATCH)


offsets = iter(range(1_000_000))


async def hear(event: MatchCleared, tx: Tx) -> Sequence[Event]:
    if event.institution_id == "refused-test":
        raise UnprocessableError("cannot be")
    if event.institution_id == "broken-test":
        raise ZeroDivisionError("a secret in the text")
    if event.institution_id == "away-test":
        raise TransientError("later")
    await tx.conn.execute(
        "INSERT INTO heard (topic, subject, word) VALUES ('m', $1, $2)",
        event.subject,
        event.institution_id,
    )
    return [event]


async def hear_all(events: Sequence[MatchCleared], tx: Tx) -> Sequence[Event]:
    return [said for event in events for said in await hear(event, tx)]


ONE = Subscription(MATCHING_MATCH, {MatchCleared: hear})
ALL = Subscription(MATCHING_MATCH, {MatchCleared: Bulk(hear_all)})


async def apply(
    tx: Tx, *judged: tuple[Record, Verdict], subscription: Subscription = ONE
) -> Outcome:
    return await apply_records(tx, subscription, "matching.match", judged)


async def words(tx: Tx) -> list[str]:
    return [row["word"] for row in await tx.conn.fetch("SELECT word FROM heard ORDER BY nth")]


async def quarantined(tx: Tx) -> list[tuple[str, str, str]]:
    rows = await tx.conn.fetch(
        "SELECT reason_class, reason, state FROM kit.quarantine ORDER BY record_offset"
    )
    return [tuple(row) for row in rows]


@pytest.mark.parametrize("subscription", [ONE, ALL], ids=["one by one", "in bulk"])
async def test_a_slice_is_applied_in_order_and_what_is_said_goes_to_the_outbox(
    tx: Tx, subscription: Subscription
) -> None:
    match = uuid4()

    outcome = await apply(
        tx,
        a_clearance(match, 1, "one-test"),
        a_clearance(match, 2, "two-test"),
        subscription=subscription,
    )

    assert outcome.applied == 2
    assert await words(tx) == ["one-test", "two-test"]
    said = await tx.conn.fetch("SELECT * FROM kit.outbox ORDER BY seq")
    assert [(row["subject"], row["sequence"]) for row in said] == [(str(match), 1), (str(match), 2)]


async def test_a_second_delivery_changes_nothing(tx: Tx) -> None:
    match, event_id = uuid4(), uuid4()
    await apply(tx, a_clearance(match, 1, event_id=event_id))

    outcome = await apply(tx, a_clearance(match, 1, event_id=event_id))

    assert (outcome.applied, outcome.duplicates, outcome.said) == (0, 1, [])
    assert len(await words(tx)) == 1


@pytest.mark.parametrize("subscription", [ONE, ALL], ids=["one by one", "in bulk"])
async def test_a_record_that_breaks_its_handler_parks_its_subject_and_no_other(
    tx: Tx, subscription: Subscription
) -> None:
    bad, good = uuid4(), uuid4()

    outcome = await apply(
        tx,
        a_clearance(good, 1, "one-test"),
        a_clearance(bad, 1, "broken-test"),
        a_clearance(bad, 2, "follower-test"),
        a_clearance(good, 2, "two-test"),
        subscription=subscription,
    )

    assert await words(tx) == ["one-test", "two-test"]
    assert await quarantined(tx) == [
        ("handler_failed", "data: ZeroDivisionError", "quarantined"),
        ("sequence_gap", "sequence 2 follows 0", "parked"),
    ]
    assert outcome.applied == 2
    assert len(outcome.said) == 2


async def test_a_refusal_of_the_handler_is_kept_with_its_reason(tx: Tx) -> None:
    await apply(tx, a_clearance(uuid4(), 1, "refused-test"))

    assert await quarantined(tx) == [("unprocessable", "data: cannot be", "quarantined")]


async def test_a_handler_that_asks_for_another_try_takes_the_whole_slice_back(tx: Tx) -> None:
    with pytest.raises(TransientError):
        async with tx.conn.transaction():
            await apply(tx, a_clearance(uuid4(), 1), a_clearance(uuid4(), 1, "away-test"))

    assert await words(tx) == []


async def test_a_gap_parks_what_follows_it(tx: Tx) -> None:
    match = uuid4()

    await apply(tx, a_clearance(match, 1), a_clearance(match, 3), a_clearance(match, 4))

    assert len(await words(tx)) == 1
    assert [state for _, _, state in await quarantined(tx)] == ["parked", "parked"]


async def test_two_histories_of_one_subject_stop_the_partition(tx: Tx) -> None:
    match = uuid4()
    await apply(tx, a_clearance(match, 1))

    with pytest.raises(ForkError, match="restored to an earlier point"):
        await apply(tx, a_clearance(match, 1))


async def test_types_without_a_handler_are_counted_and_keep_the_sequence_dense(tx: Tx) -> None:
    match = uuid4()
    accepted = MatchAccepted(match_id=match, by=Side.MENTOR, person_id=uuid4())

    outcome = await apply(tx, a_clearance(match, 1), as_record(accepted, 2), a_clearance(match, 3))

    assert (outcome.applied, outcome.passed_over) == (2, 1)


async def test_what_a_failed_handler_scheduled_is_taken_back(tx: Tx) -> None:
    async def schedule_and_break(event: MatchCleared, tx: Tx) -> Sequence[Event]:
        await tx.schedule("remind", event.subject, tx.now)
        raise ZeroDivisionError

    subscription = Subscription(MATCHING_MATCH, {MatchCleared: schedule_and_break})

    await apply(tx, a_clearance(uuid4(), 1), subscription=subscription)

    assert await tx.conn.fetchval("SELECT count(*) FROM kit.timers") == 0


async def test_a_handler_that_hides_a_failed_statement_parks_its_own_record_only(tx: Tx) -> None:
    async def hide(event: MatchCleared, tx: Tx) -> Sequence[Event]:
        if event.institution_id == "broken-test":
            with suppress(asyncpg.PostgresError):
                await tx.conn.execute("SELECT 1 / 0")
            return []
        return await hear(event, tx)

    subscription = Subscription(MATCHING_MATCH, {MatchCleared: hide})

    outcome = await apply(
        tx,
        a_clearance(uuid4(), 1, "one-test"),
        a_clearance(uuid4(), 1, "broken-test"),
        a_clearance(uuid4(), 1, "two-test"),
        subscription=subscription,
    )

    assert await words(tx) == ["one-test", "two-test"]
    assert [item.reason_class for item in outcome.parked] == ["handler_failed"]


async def test_a_constraint_that_is_checked_at_the_commit_parks_its_own_record_only(tx: Tx) -> None:
    await tx.conn.execute(
        "CREATE TEMP TABLE chairs (center text UNIQUE DEFERRABLE INITIALLY DEFERRED) ON COMMIT DROP"
    )

    async def seat(event: MatchCleared, tx: Tx) -> Sequence[Event]:
        await tx.conn.execute("INSERT INTO chairs VALUES ($1)", event.institution_id)
        return await hear(event, tx)

    outcome = await apply(
        tx,
        a_clearance(uuid4(), 1, "one-test"),
        a_clearance(uuid4(), 1, "one-test"),
        a_clearance(uuid4(), 1, "two-test"),
        subscription=Subscription(MATCHING_MATCH, {MatchCleared: seat}),
    )
    await tx.conn.execute("SET CONSTRAINTS ALL IMMEDIATE")  # as the commit does

    assert await words(tx) == ["one-test", "two-test"]
    assert [item.reason_class for item in outcome.parked] == ["handler_failed"]


async def test_an_answer_too_large_for_its_readers_parks_its_record_only(tx: Tx) -> None:
    async def boast(event: MatchCleared, tx: Tx) -> Sequence[Event]:
        said = await hear(event, tx)
        if event.institution_id != "large-test":
            return said
        return [event.model_copy(update={"institution_id": "x" * 10**6})]

    subscription = Subscription(MATCHING_MATCH, {MatchCleared: boast})

    outcome = await apply(
        tx,
        a_clearance(uuid4(), 1, "one-test"),
        a_clearance(uuid4(), 1, "large-test"),
        a_clearance(uuid4(), 1, "two-test"),
        subscription=subscription,
    )

    assert await words(tx) == ["one-test", "two-test"]
    assert [item.reason_class for item in outcome.parked] == ["unprocessable"]
    assert len(outcome.said) == 2


@pytest.mark.parametrize("subscription", [ONE, ALL])
async def test_what_fails_behind_a_failure_of_its_subject_parks_and_is_not_blamed(
    tx: Tx, subscription: Subscription
) -> None:
    match, other = uuid4(), uuid4()

    outcome = await apply(
        tx,
        a_clearance(match, 1, "one-test"),
        a_clearance(match, 2, "broken-test"),
        a_clearance(match, 3, "three-test"),
        a_clearance(match, 4, "broken-test"),
        a_clearance(other, 1, "refused-test"),
        subscription=subscription,
    )

    assert await words(tx) == ["one-test"]
    kept = {
        (str(one.envelope.subject), one.envelope.sequence): (one.reason_class, one.state)
        for one in outcome.parked
        if one.envelope
    }
    assert kept == {
        (str(match), 2): ("handler_failed", "quarantined"),
        (str(match), 3): ("sequence_gap", "parked"),
        (str(match), 4): ("sequence_gap", "parked"),
        (str(other), 1): ("unprocessable", "quarantined"),
    }


async def test_a_newer_version_said_in_parallel_keeps_the_sequence_dense(tx: Tx) -> None:
    match = uuid4()
    record, _ = a_clearance(match, 2)
    headers = [(n, b"match.cleared.v2" if n == "ce_type" else v) for n, v in record.headers]
    newer = HttpRecord(record.topic, record.key, b"{}", headers)

    outcome = await apply(
        tx,
        a_clearance(match, 1, "one-test"),
        (newer, judge(newer, MATCHING_MATCH)),
        a_clearance(match, 3, "three-test"),
    )

    assert await words(tx) == ["one-test", "three-test"]
    assert (outcome.passed_over, outcome.parked) == (1, [])


async def test_an_answer_that_breaks_keeps_the_record_and_stops_nobody(tx: Tx) -> None:
    async def broken_answer(refusal: Refusal, tx: Tx) -> Sequence[Event]:
        await tx.conn.execute("SELECT 1 / 0")
        return []

    subscription = Subscription(MATCHING_MATCH, {MatchCleared: hear}, on_refused=broken_answer)

    await apply(
        tx,
        a_clearance(uuid4(), 1, "refused-test"),
        a_clearance(uuid4(), 1, "one-test"),
        subscription=subscription,
    )

    assert await words(tx) == ["one-test"]
    assert [reason for reason, _, _ in await quarantined(tx)] == ["unprocessable"]
