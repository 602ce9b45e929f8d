"""Publishing people: every row is judged, sent once, and answered, or it is said which was not."""

import time
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from itertools import islice
from uuid import UUID

from oncomentor_client.credentials import Credentials
from oncomentor_client.digest import (
    content_digest,
    local_key_digest,
    normal_id,
    withdrawal_digest,
)
from oncomentor_client.errors import ClientError
from oncomentor_client.intake import IntakeKey
from oncomentor_client.journal import Intent, Journal, Step, Verdict
from oncomentor_client.message import Answer, Outgoing, Route, outgoing
from oncomentor_client.people import Person
from oncomentor_client.row import BadRow
from oncomentor_contracts.event import Event
from oncomentor_contracts.identifiers import pseudonym
from oncomentor_contracts.profile import PersonSubmitted, PersonWithdrawn
from oncomentor_contracts.receipt import Problem

BATCH_ROWS = 500
MAX_WAITING = 5_000  # unanswered events; beyond that the next batch waits for receipts
_POLL_SECONDS = 0.5


class RowOutcome(StrEnum):
    """What became of a row."""

    ACCEPTED = "accepted"
    UNCHANGED = "unchanged"  # the network has exactly this already; nothing was sent
    INVALID = "invalid"  # wrong in the file; nothing was sent
    REJECTED = "rejected"  # the network refused it; `problems` says why
    PENDING = "pending"  # sent, and no receipt came in time; the next run asks again
    WOULD_SEND = "would_send"  # dry run


@dataclass(frozen=True, slots=True)
class RowResult:
    """One row and what became of it."""

    row: int
    local_id: str | None
    outcome: RowOutcome
    person_id: UUID | None = None
    event_id: UUID | None = None
    problems: tuple[Problem, ...] = ()


@dataclass(frozen=True, slots=True)
class Withdrawal:
    """Takes a person out: the network forgets what it held of them."""

    row: int
    local_id: str


Row = Person | Withdrawal | BadRow


@dataclass(frozen=True, slots=True)
class _Planned:
    step: Step
    intent: Intent
    event: Event
    result: RowResult


class Publisher:
    """One center's way of publishing, over a route that is open.

    What is about to be sent is in the journal, on disk, before it is sent: a run that is killed
    at any moment is completed by the next one, and the network takes in everything once.
    """

    def __init__(
        self,
        credentials: Credentials,
        journal: Journal,
        intake_key: IntakeKey,
        route: Route,
        *,
        patience: timedelta = timedelta(seconds=60),
    ) -> None:
        """`patience` is how long to wait for a receipt after the last one came."""
        self._institution_id = credentials.institution_id
        self._key = credentials.center_key
        self._journal = journal
        self._intake_key = intake_key
        self._route = route
        self._patience_seconds = patience.total_seconds()
        self._waiting: dict[UUID, RowResult] = {}
        self._said: set[str] = set()

    async def publish(self, rows: Iterable[Row]) -> AsyncIterator[RowResult]:
        """Send what is new and yield a result for every row, in the order of their answers.

        Raises:
            UnreachableError: the network is away; what was sent is remembered, run again.
            RefusedError: the credentials don't allow this.
            JournalError: the disk refuses; nothing of the batch was sent.
            ValueError: two rows are about one person; `read_people` never yields such.
        """
        self._said.clear()
        for batch in _batches(rows):
            planned = []
            for row in batch:
                one = self._plan(row)
                if isinstance(one, RowResult):
                    yield one
                else:
                    planned.append(one)
            await self._send(planned)
            async for result in self._settled(most=MAX_WAITING):
                yield result
        async for result in self._settled(most=0):
            yield result
        for result in self._waiting.values():
            yield replace(result, outcome=RowOutcome.PENDING)
        self._waiting.clear()

    def take(self, answers: Iterable[Answer]) -> None:
        """Enter answers to an earlier run into the journal: what is answered isn't sent again."""
        self._journal.settle((one.event_id, one.verdict) for one in answers)

    def _plan(self, row: Row) -> RowResult | _Planned:
        if isinstance(row, BadRow):
            return RowResult(row.row, row.local_id, RowOutcome.INVALID, problems=row.problems)
        now = datetime.now(UTC)
        key = local_key_digest(self._key, row.local_id)
        if key in self._said:
            raise ValueError(f"row {row.row} is about a person of an earlier row")
        self._said.add(key)
        step, intent = self._journal.plan(key, content_of(self._key, row), now)
        person_id = pseudonym(self._key, self._institution_id, row.local_id)
        result = RowResult(
            row.row, row.local_id, RowOutcome.UNCHANGED, person_id, event_id=intent.event_id
        )
        if step is Step.NOTHING:
            return result

        return _Planned(step, intent, self._event(row, person_id), result)

    def _event(self, row: Person | Withdrawal, person_id: UUID) -> Event:
        if isinstance(row, Withdrawal):
            return PersonWithdrawn(institution_id=self._institution_id, person_id=person_id)
        return PersonSubmitted(
            institution_id=self._institution_id,
            person_id=person_id,
            profile=row.coded(self._key, self._institution_id),
            sealed_contact=self._intake_key.seal(row.contact),
            sealed_survivor=None if row.survivor is None else self._intake_key.seal(row.survivor),
        )

    async def _send(self, planned: Sequence[_Planned]) -> None:
        if not planned:
            return
        self._journal.intend([one.intent for one in planned if one.step is Step.SEND])
        self._waiting |= {one.intent.event_id: one.result for one in planned}
        try:
            await self._route.send([self._outgoing(one) for one in planned])
        except ClientError:
            # What was answered before the failure is not asked again by the next run.
            self.take(await self._route.answers(0))
            raise

    def _outgoing(self, one: _Planned) -> Outgoing:
        return outgoing(
            one.event,
            self._institution_id,
            event_id=one.intent.event_id,
            sequence=one.intent.sequence,
            now=datetime.now(UTC),
        )

    async def _settled(self, *, most: int) -> AsyncIterator[RowResult]:
        """Yield the answers there are, waiting while more than `most` events are unanswered."""
        patient_until = time.monotonic() + self._patience_seconds
        while True:
            must_wait = len(self._waiting) > most
            answers = await self._route.answers(_POLL_SECONDS if must_wait else 0)
            self.take(answers)
            for result in self._results(answers):
                patient_until = time.monotonic() + self._patience_seconds
                yield result
            if len(self._waiting) <= most or time.monotonic() > patient_until:
                return

    def _results(self, answers: Iterable[Answer]) -> Iterator[RowResult]:
        for answer in answers:
            result = self._waiting.pop(answer.event_id, None)
            if result is None:
                continue  # of an earlier run, or of somebody else at the center
            accepted = answer.verdict is Verdict.ACCEPTED
            yield replace(
                result,
                outcome=RowOutcome.ACCEPTED if accepted else RowOutcome.REJECTED,
                problems=answer.problems,
            )


def preview(
    center_key: bytes, institution_id: str, journal: Journal | None, rows: Iterable[Row]
) -> Iterator[RowResult]:
    """Yield what publishing would do with each row; nothing is written or sent."""
    now = datetime.now(UTC)
    for row in rows:
        if isinstance(row, BadRow):
            yield RowResult(row.row, row.local_id, RowOutcome.INVALID, problems=row.problems)
            continue
        key, content = local_key_digest(center_key, row.local_id), content_of(center_key, row)
        step = Step.SEND if journal is None else journal.plan(key, content, now)[0]
        yield RowResult(
            row.row,
            row.local_id,
            RowOutcome.UNCHANGED if step is Step.NOTHING else RowOutcome.WOULD_SEND,
            pseudonym(center_key, institution_id, row.local_id),
        )


def content_of(center_key: bytes, row: Person | Withdrawal) -> str:
    """Return the digest by which the journal tells whether a row says something new."""
    if isinstance(row, Withdrawal):
        return withdrawal_digest(center_key)
    return content_digest(center_key, row.profile, row.contact, row.survivor, row.local)


def withdrawals(local_ids: Iterable[str]) -> Iterator[Withdrawal]:
    """Yield rows that take these people out."""
    for row, local_id in enumerate(dict.fromkeys(map(normal_id, local_ids)), start=1):
        yield Withdrawal(row, local_id)


def _batches(rows: Iterable[Row]) -> Iterator[list[Row]]:
    rest = iter(rows)
    while batch := list(islice(rest, BATCH_ROWS)):
        yield batch
