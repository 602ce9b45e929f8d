"""The quarantine as an operator works on it, beside a partition that goes on."""

import asyncio
import itertools
import json
import re
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID, uuid4

import asyncpg
import pytest

from oncomentor_contracts.envelope import Envelope, Header
from oncomentor_contracts.event import Event
from oncomentor_contracts.identifiers import uuid7
from oncomentor_contracts.matching import Answer, ClearedBy, MatchCleared, ResponseGiven
from oncomentor_contracts.scheduling import AvailabilityChanged
from oncomentor_contracts.topics import (
    INGRESS_RESPONSE,
    MATCHING_MATCH,
    SCHEDULING_AVAILABILITY,
)
from servicekit.edge.ingress import HttpRecord
from servicekit.errors import TransientError
from servicekit.hearing import quarantine
from servicekit.hearing.apply import Outcome, apply_records
from servicekit.hearing.quarantine import Selection
from servicekit.hearing.verdict import judge
from servicekit.keeping import kept as kept_rows
from servicekit.keeping.kept import RefusedError, UnknownRecordError
from servicekit.keeping.requeue import Requeue
from servicekit.process import migrate
from servicekit.saying import record_headers
from servicekit.subscription import Subscription
from servicekit.tx import Database, Tx
from testkit.eventually import eventually
from testkit.postgres import Templates

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
INGRESS = "ingress.harbor-test.response"
ROOT = Path(__file__).parents[3]
offsets = itertools.count(1)


class Desk:
    """A service whose handlers break on the words in `broken`, one partition, and an operator."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.broken: set[str] = set()
        self.then: Callable[[str], Awaitable[None]] | None = None
        self.subscriptions = [
            Subscription(MATCHING_MATCH, {MatchCleared: self.hear_match}),
            Subscription(SCHEDULING_AVAILABILITY, {AvailabilityChanged: self.hear_hours}),
            Subscription(INGRESS_RESPONSE, {ResponseGiven: self.hear_response}),
        ]
        self.requeue = Requeue(database, self.subscriptions)

    async def open(self) -> None:
        async with self.database.transaction() as tx:
            await tx.conn.executemany(
                """
                INSERT INTO kit.consumer_offsets (consumer, topic, partition, next_offset,
                                                  topic_id, updated_at)
                VALUES ('test.network', $1, 0, 0, 'id', now())
                """,
                [(MATCHING_MATCH.name,), (SCHEDULING_AVAILABILITY.name,), (INGRESS,)],
            )

    async def hear_match(self, event: MatchCleared, tx: Tx) -> Sequence[Event]:
        await self._note(tx, event, event.institution_id)
        return [event]

    async def hear_hours(self, event: AvailabilityChanged, tx: Tx) -> Sequence[Event]:
        await self._note(tx, event, event.institution_id)
        return []

    async def hear_response(self, event: ResponseGiven, tx: Tx) -> Sequence[Event]:
        await self._note(tx, event, event.answer.value)
        return []

    async def _note(self, tx: Tx, event: Event, word: str) -> None:
        if self.then is not None:
            await self.then(word)
        if word in self.broken:
            raise ZeroDivisionError(word)
        await tx.conn.execute(
            "INSERT INTO heard (topic, subject, word) VALUES ($1, $2, $3)",
            event.topic_name,
            event.subject,
            word,
        )

    async def hear(self, *records: HttpRecord) -> Outcome:
        """Apply records as the partition's lane would."""
        topic = records[0].topic
        (subscription,) = [
            one
            for one in self.subscriptions
            if topic == one.topic.name or one.topic.institution_in(topic)
        ]
        async with self.database.transaction() as tx:
            await tx.conn.execute(
                "SELECT 1 FROM kit.consumer_offsets WHERE topic = $1 FOR UPDATE", topic
            )
            judged = [(record, judge(record, subscription.topic)) for record in records]
            return await apply_records(tx, subscription, topic, judged)

    async def rows(self, sql: str, *arguments: object) -> list[asyncpg.Record]:
        async with self.database.transaction() as tx:
            return await tx.conn.fetch(sql, *arguments)

    async def words(self) -> list[str]:
        return [row["word"] for row in await self.rows("SELECT word FROM heard ORDER BY nth")]

    async def kept(self) -> list[asyncpg.Record]:
        return await self.rows("SELECT * FROM kit.quarantine ORDER BY record_offset")

    async def states(self) -> list[str]:
        return [row["state"] for row in await self.kept()]

    async def id_of(self, record: HttpRecord) -> int:
        (row,) = [row for row in await self.kept() if row["record_offset"] == record.offset]
        found: int = row["quarantine_id"]
        return found

    async def retry(self, record: HttpRecord) -> str:
        return (await self.requeue.retry(await self.id_of(record), "operator")).why


@pytest.fixture
async def desk(database: Database) -> Desk:
    made = Desk(database)
    await made.open()
    return made


def a_fact(match: UUID, sequence: int, word: str, event_id: UUID | None = None) -> HttpRecord:
    event = MatchCleared(match_id=match, institution_id=word, by=ClearedBy.POLICY)
    return as_record(event, "/services/matching", sequence, event_id)


def a_state(person: UUID, sequence: int, word: str) -> HttpRecord:
    event = AvailabilityChanged(
        person_id=person, institution_id=word, time_zone="Europe/Lisbon", weekly_hours=()
    )
    return as_record(event, "/services/scheduling", sequence)


def a_command(answer: Answer) -> HttpRecord:
    event = ResponseGiven(institution_id="harbor-test", match_id=uuid4(), answer=answer)
    return as_record(event, "/institutions/harbor-test")


def as_record(
    event: Event, source: str, sequence: int | None = None, event_id: UUID | None = None
) -> HttpRecord:
    envelope = Envelope(
        id=event_id or uuid7(NOW),
        source=source,
        type=event.TYPE,
        subject=event.subject,
        time=NOW,
        sequence=sequence,
        correlationid="the-chain",
    )
    headers: list[Header] = list(envelope.headers())
    return HttpRecord(
        event.topic_name, event.subject.encode(), event.data(), headers, 0, next(offsets)
    )


def without(record: HttpRecord, header: str) -> HttpRecord:
    headers = [(name, value) for name, value in record.headers if name != header]
    return HttpRecord(record.topic, record.key, record.value, headers, 0, record.offset)


def facts(match: UUID, *words: str) -> list[HttpRecord]:
    return [a_fact(match, n, word) for n, word in enumerate(words, start=1)]


async def test_a_mended_record_and_its_followers_are_applied_once_and_in_order(desk: Desk) -> None:
    desk.broken = {"two-test"}
    _, second, *_ = records = facts(uuid4(), "one-test", "two-test", "three-test", "four-test")
    await desk.hear(*records)
    desk.broken = set()

    answer = await desk.requeue.retry(await desk.id_of(second), "anna")

    assert (answer.outcome, answer.why) == ("retried", "applied")
    assert (answer.released, answer.more) == (2, False)
    assert await desk.words() == ["one-test", "two-test", "three-test", "four-test"]
    assert await desk.states() == ["retried"] * 3
    assert {row["settled_by"] for row in await desk.kept()} == {"anna"}
    assert all(row["settled_at"] and row["settled_why"] for row in await desk.kept())


async def test_the_runbook_leads_past_a_fact_that_was_lost(desk: Desk) -> None:
    runbook = (ROOT / "docs/runbooks/FollowersParked.md").read_text()
    (sql,) = re.findall(r'psql "\$DB" -c "(INSERT.*?)"\n', runbook, re.DOTALL)
    (match,) = re.findall(r"subject_key\('matching.match', '(.*?)'\)", sql)
    first, _, third, fourth = facts(UUID(match), "one-test", "lost-test", "three-test", "four-test")
    await desk.hear(first, third, fourth)

    async with desk.database.transaction() as tx:
        await tx.conn.execute(sql)
    answer = await desk.requeue.retry(await desk.id_of(third), "anna")

    assert (answer.outcome, answer.released) == ("retried", 2)
    assert await desk.words() == ["one-test", "three-test", "four-test"]


async def test_what_a_retried_record_says_follows_from_its_first_id(desk: Desk) -> None:
    desk.broken = {"one-test"}
    event_id = uuid7(NOW)
    record = a_fact(uuid4(), 1, "one-test", event_id)
    await desk.hear(record)
    desk.broken = set()

    await desk.retry(record)

    (said,) = await desk.rows("SELECT headers, sequence FROM kit.outbox")
    headers = dict(record_headers.unpack(said["headers"], said["sequence"]))
    assert headers["ce_causationid"] == str(event_id).encode()
    assert headers["ce_correlationid"] == b"the-chain"
    (applied,) = await desk.rows("SELECT event_id FROM kit.applied_subjects")
    assert applied["event_id"] == event_id


async def test_what_would_fail_again_is_refused_says_why_and_stays_as_it_was(desk: Desk) -> None:
    desk.broken = {"one-test"}
    bad, follower = facts(uuid4(), "one-test", "two-test")
    garbage = HttpRecord(bad.topic, b"key", b"{", [], 0, next(offsets))
    await desk.hear(bad, follower, garbage)
    before = await desk.kept()

    with pytest.raises(RefusedError, match="still handler_failed: data: ZeroDivisionError"):
        await desk.retry(bad)
    with pytest.raises(RefusedError, match="still bad_envelope: specversion: is missing"):
        await desk.retry(garbage)
    with pytest.raises(RefusedError, match="it waits for sequence 1 of its subject"):
        await desk.retry(follower)
    with pytest.raises(UnknownRecordError):
        await desk.requeue.retry(10**12, "operator")

    assert await desk.kept() == before
    assert await desk.words() == []
    assert await desk.rows("SELECT 1 FROM kit.outbox") == []


async def test_a_record_that_was_applied_meanwhile_is_closed_and_not_applied_again(
    desk: Desk,
) -> None:
    desk.broken = {"one-test"}
    match, event_id = uuid4(), uuid4()
    first, replayed = (a_fact(match, 1, "one-test", event_id) for _ in range(2))
    await desk.hear(first)
    desk.broken = set()
    await desk.hear(replayed)

    assert await desk.retry(first) == "had been applied meanwhile"
    assert await desk.words() == ["one-test"]
    assert await desk.states() == ["retried"]


async def test_a_second_retry_changes_nothing_and_says_who_was_first(desk: Desk) -> None:
    desk.broken = {"one-test"}
    (record,) = facts(uuid4(), "one-test")
    await desk.hear(record)
    desk.broken = set()
    await desk.retry(record)

    assert "was retried by operator at" in await desk.retry(record)
    assert await desk.words() == ["one-test"]


async def test_two_operators_at_once_apply_a_record_once(desk: Desk) -> None:
    desk.broken = {"one-test"}
    record, *_ = records = facts(uuid4(), "one-test", "two-test", "three-test")
    await desk.hear(*records)
    desk.broken = set()
    quarantine_id = await desk.id_of(record)

    answers = await asyncio.gather(
        *(desk.requeue.retry(quarantine_id, f"operator {n}") for n in range(8))
    )

    assert sum(answer.why == "applied" for answer in answers) == 1
    assert sum(answer.released for answer in answers) == 2
    assert await desk.words() == ["one-test", "two-test", "three-test"]


async def test_a_lane_that_applies_at_the_same_time_loses_and_reorders_nothing(desk: Desk) -> None:
    desk.broken = {"word-0-test"}
    words = [f"word-{n}-test" for n in range(120)]
    bad, *rest = facts(uuid4(), *words)
    await desk.hear(bad)
    desk.broken = set()

    async def lane() -> None:
        for record in rest:
            await desk.hear(record)

    async def operator() -> None:
        async def some_wait() -> bool:
            return len(await desk.kept()) > 30

        await eventually(some_wait, every=0.001)
        await desk.retry(bad)

    await asyncio.gather(lane(), operator())

    assert await desk.words() == words
    assert set(await desk.states()) == {"retried"}


async def test_a_lane_at_work_on_the_partition_is_waited_for(desk: Desk) -> None:
    desk.broken = {"one-test"}
    (bad,) = facts(uuid4(), "one-test")
    await desk.hear(bad)
    desk.broken = set()
    quarantine_id = await desk.id_of(bad)

    async with desk.database.transaction() as lane:
        await lane.conn.execute(
            "SELECT 1 FROM kit.consumer_offsets WHERE topic = $1 FOR UPDATE", bad.topic
        )
        retry = asyncio.create_task(desk.requeue.retry(quarantine_id, "operator"))
        done, _ = await asyncio.wait({retry}, timeout=0.3)
        heard_meanwhile = await desk.words()

    assert (done, heard_meanwhile) == (set(), [])
    assert (await retry).why == "applied"


async def test_a_retry_cut_off_in_the_middle_is_completed_by_the_next(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept_rows, "_STEP_RECORDS", 3)
    desk.broken = {"word-0-test"}
    words = [f"word-{n}-test" for n in range(12)]
    bad, *rest = facts(uuid4(), *words)
    await desk.hear(bad, *rest)
    desk.broken = set()

    async def crash(word: str) -> None:
        if word == "word-8-test":  # in the third step, after its first record
            raise TransientError("the process ended here")

    desk.then = crash
    with pytest.raises(TransientError):
        await desk.retry(bad)
    after_crash = await desk.words()
    desk.then = None
    answer = await desk.requeue.retry(await desk.id_of(bad), "operator")

    assert after_crash == words[:7]
    assert answer.released == 5
    assert await desk.words() == words
    assert set(await desk.states()) == {"retried"}


async def test_a_release_works_in_bounded_steps_and_says_that_more_is_left(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept_rows, "_STEP_BYTES", 1)  # one record a step
    desk.broken = {"word-0-test"}
    words = [f"word-{n}-test" for n in range(30)]
    bad, *rest = facts(uuid4(), *words)
    await desk.hear(bad, *rest)
    desk.broken = set()

    first = await desk.requeue.retry(await desk.id_of(bad), "operator")
    second = await desk.requeue.retry(await desk.id_of(bad), "operator")

    assert (first.released, first.more) == (20, True)
    assert (second.released, second.more) == (9, False)
    assert await desk.words() == words


async def test_a_follower_that_fails_when_it_is_released_holds_those_behind_it(desk: Desk) -> None:
    desk.broken = {"one-test", "three-test"}
    bad, _, third, _ = records = facts(uuid4(), "one-test", "two-test", "three-test", "four-test")
    await desk.hear(*records)
    desk.broken = {"three-test"}

    answer = await desk.requeue.retry(await desk.id_of(bad), "operator")
    then = [(row["state"], row["reason_class"]) for row in await desk.kept()]
    desk.broken = set()
    await desk.retry(third)

    assert answer.released == 1
    assert then[2:] == [("quarantined", "handler_failed"), ("parked", "sequence_gap")]
    assert await desk.words() == ["one-test", "two-test", "three-test", "four-test"]


async def test_retrying_a_later_record_first_is_refused(desk: Desk) -> None:
    desk.broken = {"one-test"}
    match = uuid4()
    bad = a_fact(match, 1, "one-test")
    garbage = a_fact(match, 2, "two-test")
    later = HttpRecord(garbage.topic, garbage.key, b"{", garbage.headers, 0, garbage.offset)
    await desk.hear(bad, later)
    async with desk.database.transaction() as tx:  # mended by hand, for instance from a backup
        await tx.conn.execute(
            "UPDATE kit.quarantine SET record_value = $1 WHERE record_offset = $2",
            garbage.value,
            later.offset,
        )

    with pytest.raises(RefusedError, match="waits for what comes before it: sequence 2 follows 0"):
        await desk.retry(later)


async def test_a_discarded_fact_lets_its_subject_go_on_without_it(desk: Desk) -> None:
    desk.broken = {"one-test"}
    bad, *rest = facts(uuid4(), "one-test", "two-test", "three-test")
    await desk.hear(bad, *rest)

    answer = await desk.requeue.discard(await desk.id_of(bad), "anna", "made up in a test")
    await desk.hear(a_fact(UUID(bad.key.decode() if bad.key else ""), 4, "four-test"))

    assert (answer.outcome, answer.released) == ("discarded", 2)
    assert await desk.words() == ["two-test", "three-test", "four-test"]
    row = (await desk.kept())[0]
    assert (row["state"], row["settled_by"], row["settled_why"]) == (
        "discarded", "anna", "made up in a test",
    )  # fmt: skip
    assert row["record_value"] == bad.value


async def test_a_discarded_record_delivered_again_stays_discarded(desk: Desk) -> None:
    desk.broken = {"one-test"}
    match, event_id = uuid4(), uuid4()
    bad, replayed = (a_fact(match, 1, "one-test", event_id) for _ in range(2))
    await desk.hear(bad)
    await desk.requeue.discard(await desk.id_of(bad), "anna", "made up")
    desk.broken = set()

    outcome = await desk.hear(replayed)

    assert (outcome.duplicates, await desk.words()) == (1, [])
    with pytest.raises(RefusedError, match="it was discarded by anna at"):
        await desk.retry(bad)


async def test_a_fact_whose_place_cannot_be_read_lets_its_subject_go_on_once_discarded(
    desk: Desk,
) -> None:
    bad, *rest = facts(uuid4(), "one-test", "two-test", "three-test")
    unreadable = without(bad, "ce_id")
    await desk.hear(unreadable)
    answers = [await desk.requeue.discard(await desk.id_of(unreadable), "anna", "made up")]
    await desk.hear(*rest)

    answers.append(await desk.requeue.retry(await desk.id_of(rest[1]), "anna"))

    assert [answer.released for answer in answers] == [0, 2]
    assert await desk.words() == ["two-test", "three-test"]


async def test_a_forged_record_that_is_discarded_moves_no_subject(desk: Desk) -> None:
    match = uuid4()
    event = MatchCleared(match_id=match, institution_id="one-test", by=ClearedBy.POLICY)
    forged = as_record(event, "/services/scheduling", 1)
    await desk.hear(forged)

    await desk.requeue.discard(await desk.id_of(forged), "anna", "forged")
    outcome = await desk.hear(a_fact(match, 1, "one-test"))

    assert outcome.applied == 1


async def test_a_huge_record_keeps_its_place_in_its_subject(desk: Desk) -> None:
    bad, *rest = facts(uuid4(), "one-test", "two-test")
    huge = HttpRecord(bad.topic, bad.key, b"x" * 1_000_001, bad.headers, 0, bad.offset)
    await desk.hear(huge, *rest)

    await desk.requeue.discard(await desk.id_of(huge), "anna", "made up")

    assert await desk.words() == ["two-test"]


async def test_a_newer_state_wins_and_the_quarantined_one_reads_as_superseded(desk: Desk) -> None:
    desk.broken = {"old-test"}
    person = uuid4()
    old, new = a_state(person, 3, "old-test"), a_state(person, 7, "new-test")
    await desk.hear(old)
    desk.broken = set()
    await desk.hear(new)

    with pytest.raises(RefusedError, match="superseded: state 7 of its subject was applied"):
        await desk.retry(old)
    async with desk.database.transaction() as tx:
        (listed,) = await quarantine.list_open(tx, Selection(superseded=True))
    await desk.requeue.discard(listed["quarantine_id"], "anna", "superseded")

    assert listed["superseded"] is True
    assert await desk.words() == ["new-test"]
    (applied,) = await desk.rows("SELECT sequence FROM kit.applied_subjects")
    assert applied["sequence"] == 7


async def test_the_newest_state_is_applied_when_it_is_retried(desk: Desk) -> None:
    desk.broken = {"new-test"}
    person = uuid4()
    old, new, newer = (a_state(person, n, f"{word}-test") for n, word in
                       ((2, "old"), (5, "new"), (6, "newer")))  # fmt: skip
    await desk.hear(old, new)
    desk.broken = set()

    assert await desk.retry(new) == "applied"
    await desk.hear(newer)

    assert await desk.words() == ["old-test", "new-test", "newer-test"]


async def test_a_command_is_judged_on_its_own_and_holds_nothing_up(desk: Desk) -> None:
    desk.broken = {"veto"}
    bad, good = a_command(Answer.VETO), a_command(Answer.CLEAR)
    outcome = await desk.hear(bad, good)
    desk.broken = set()

    answer = await desk.requeue.retry(await desk.id_of(bad), "anna")

    assert outcome.applied == 1
    assert (answer.why, answer.released) == ("applied", 0)
    assert await desk.words() == ["clear", "veto"]
    assert (await desk.hear(bad)).duplicates == 1


async def test_a_record_of_http_needs_no_partition(desk: Desk) -> None:
    desk.broken = {"veto"}
    bad = a_command(Answer.VETO)
    await desk.hear(HttpRecord(bad.topic, bad.key, bad.value, bad.headers))
    desk.broken = set()
    (row,) = await desk.kept()

    answer = await desk.requeue.retry(row["quarantine_id"], "anna")

    assert (row["partition"], answer.why) == (-1, "applied")


async def test_two_operators_at_once_close_a_record_of_http_once(desk: Desk) -> None:
    desk.broken = {"veto"}
    bad = a_command(Answer.VETO)
    await desk.hear(HttpRecord(bad.topic, bad.key, bad.value, bad.headers))
    desk.broken = set()
    (row,) = await desk.kept()

    answers = await asyncio.gather(
        *(desk.requeue.retry(row["quarantine_id"], f"operator {n}") for n in range(8))
    )

    assert sorted(answer.why.partition(" by ")[0] for answer in answers) == [
        "applied", *["was retried"] * 7,
    ]  # fmt: skip


async def test_a_partition_without_a_position_is_not_touched(desk: Desk) -> None:
    desk.broken = {"one-test"}
    (bad,) = facts(uuid4(), "one-test")
    await desk.hear(bad)
    await desk.rows("DELETE FROM kit.consumer_offsets")
    desk.broken = set()

    with pytest.raises(RefusedError, match=r"matching\.match\[0\] has no position yet"):
        await desk.retry(bad)


async def test_two_histories_of_a_subject_refuse_the_retry(desk: Desk) -> None:
    desk.broken = {"one-test"}
    match = uuid4()
    bad, other = a_fact(match, 1, "one-test"), a_fact(match, 1, "other-test")
    await desk.hear(bad)
    await desk.hear(other)
    desk.broken = set()

    with pytest.raises(RefusedError, match="two events with sequence 1"):
        await desk.retry(bad)


async def test_a_topic_made_again_keeps_the_records_of_both(desk: Desk) -> None:
    desk.broken = {"one-test", "two-test"}
    first, second = a_fact(uuid4(), 1, "one-test"), a_fact(uuid4(), 1, "two-test")
    again = HttpRecord(second.topic, second.key, second.value, second.headers, 0, first.offset)

    await desk.hear(first)
    await desk.hear(again)
    await desk.hear(again)

    assert [row["record_value"] for row in await desk.kept()] == [first.value, again.value]


async def test_the_list_shows_what_is_to_be_decided_and_how_many_wait_behind_it(
    desk: Desk,
) -> None:
    desk.broken = {"one-test"}
    records = facts(uuid4(), "one-test", "two-test", "three-test")
    alone = a_fact(uuid4(), 1, "one-test")
    lost = a_fact(uuid4(), 5, "five-test")
    await desk.hear(*records, alone, lost)

    async with desk.database.transaction() as tx:
        listed = await quarantine.list_open(tx, Selection())
        everything = await quarantine.list_open(tx, Selection(followers=True))
        of_subject = await quarantine.list_open(tx, Selection(subject=alone.key.decode()))  # type: ignore[union-attr]  # a fact has a key
        by_reason = await quarantine.list_open(tx, Selection(reason_class="sequence_gap"))
        paged = await quarantine.list_open(tx, Selection(after=listed[0]["quarantine_id"]))
        counted = await quarantine.counts(tx)

    assert sorted((row["record_offset"], row["followers"]) for row in listed) == [
        (records[0].offset, 2), (alone.offset, 0), (lost.offset, 0),
    ]  # fmt: skip
    assert len(everything) == 5
    assert [row["record_offset"] for row in of_subject] == [alone.offset]
    assert [row["record_offset"] for row in by_reason] == [lost.offset]
    assert len(paged) == 2
    assert counted == {("handler_failed", "quarantined"): 2, ("sequence_gap", "parked"): 3}
    assert all("record_value" not in row for row in listed)


async def test_counting_reads_the_open_records_alone(desk: Desk) -> None:
    async with desk.database.transaction() as tx:
        await tx.conn.execute(
            """
            INSERT INTO kit.quarantine (topic, partition, record_offset, header_names,
                                        header_values, reason_class, reason, state, quarantined_at)
            SELECT 't', 0, n, '{}', '{}', 'bad_data', '',
                   CASE WHEN n < 10 THEN 'parked' ELSE 'retried' END, now()
              FROM generate_series(1, 20000) AS n
            """
        )
        plan = json.loads(
            await tx.conn.fetchval(
                """
                EXPLAIN (FORMAT JSON)
                SELECT reason_class, state, count(*) FROM kit.quarantine
                 WHERE state IN ('quarantined', 'parked') GROUP BY reason_class, state
                """
            )
        )
        counted = await quarantine.counts(tx)

    assert "quarantine_open_reasons" in json.dumps(plan)
    assert counted == {("bad_data", "parked"): 9}


async def test_records_kept_before_the_migration_get_their_place(
    templates: Templates, migrations: Path
) -> None:
    files = migrate.read(migrations)
    before = [one for one in files if one.name < "kernel/0004"]
    await templates._run("CREATE DATABASE before_0004 OWNER test_owner")
    owner = await asyncpg.connect(templates.dsn("before_0004", "test_owner"))
    await migrate.apply(owner, before)
    good = a_fact(uuid4(), 7, "one-test")
    for offset, reason in enumerate(("handler_failed", "foreign_source")):
        await owner.execute(
            """
            INSERT INTO kit.quarantine (topic, partition, record_offset, header_names,
                                        header_values, event_id, reason_class, reason, state,
                                        quarantined_at)
            VALUES ('t', 0, $1, $2, $3, $4, $5, '', 'quarantined', now())
            """,
            offset,
            [name for name, _ in good.headers],
            [value for _, value in good.headers],
            uuid4(),
            reason,
        )

    await migrate.apply(owner, files)

    rows = await owner.fetch("SELECT sequence FROM kit.quarantine ORDER BY record_offset")
    await owner.close()
    await templates.drop("before_0004")
    assert [row["sequence"] for row in rows] == [7, None]
