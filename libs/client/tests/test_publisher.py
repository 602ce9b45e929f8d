import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import Self
from uuid import UUID

import pytest
from joserfc import jwe
from joserfc.jwk import ECKey

from oncomentor_client import publisher as publisher_module
from oncomentor_client.credentials import Credentials
from oncomentor_client.errors import UnreachableError
from oncomentor_client.intake import IntakeKey
from oncomentor_client.journal import Journal, Verdict
from oncomentor_client.message import Answer, Outgoing
from oncomentor_client.people import Person
from oncomentor_client.publisher import (
    Publisher,
    Row,
    RowOutcome,
    RowResult,
    preview,
    withdrawals,
)
from oncomentor_client.row import BadRow, problem
from oncomentor_contracts.identifiers import pseudonym
from oncomentor_contracts.profile import ContactBlock, PersonSubmitted, PersonWithdrawn

APerson = Callable[..., Person]


@dataclass
class Network:
    """A network in memory: takes each event id in once and answers, unless it is told not to."""

    taken: dict[UUID, Outgoing] = field(default_factory=dict)
    sent: list[Outgoing] = field(default_factory=list)
    is_silent: bool = False
    fails_after: int | None = None
    _answers: list[Answer] = field(default_factory=list)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        pass

    async def send(self, batch: Sequence[Outgoing]) -> None:
        for one in batch:
            if self.fails_after is not None and len(self.sent) >= self.fails_after:
                raise UnreachableError("cut")
            self.sent.append(one)
            self.taken.setdefault(one.envelope.id, one)
            if not self.is_silent:
                self._answers.append(self._judged(one))

    async def answers(self, wait_seconds: float) -> Sequence[Answer]:
        answers, self._answers = self._answers, []
        await asyncio.sleep(0)
        return answers

    def _judged(self, one: Outgoing) -> Answer:
        event = one.event
        if isinstance(event, PersonSubmitted) and event.profile.topics == ("refused",):
            told = problem("profile.topics[0]", "refused", "no", "say something else")
            return Answer(one.envelope.id, Verdict.REJECTED, (told,))
        return Answer(one.envelope.id, Verdict.ACCEPTED)


@dataclass
class Center:
    """A center's publishing system, started anew for each run."""

    credentials: Credentials
    intake_key: IntakeKey
    path: Path
    network: Network = field(default_factory=Network)
    patience: timedelta = timedelta(0)

    async def run(self, rows: Iterable[Row]) -> list[RowResult]:
        with Journal(self.path, "harbor-demo", self.credentials.center_key) as journal:
            publisher = Publisher(
                self.credentials, journal, self.intake_key, self.network, patience=self.patience
            )
            return [result async for result in publisher.publish(rows)]


@pytest.fixture
def center(credentials: Credentials, intake_key: IntakeKey, tmp_path: Path) -> Center:
    return Center(credentials, intake_key, tmp_path / "journal")


async def test_a_person_is_published_under_a_pseudonym_with_sealed_contact(
    center: Center, a_person: APerson, hub_key: ECKey
) -> None:
    (result,) = await center.run([a_person("4711")])

    (sent,) = center.network.sent
    event = sent.event
    assert isinstance(event, PersonSubmitted)
    assert result.outcome is RowOutcome.ACCEPTED
    assert event.person_id == pseudonym(center.credentials.center_key, "harbor-demo", "4711")
    assert result.person_id == event.person_id
    assert (sent.topic, sent.key) == ("ingress.harbor-demo.profile", event.subject.encode())
    assert sent.envelope.source == "/institutions/harbor-demo"
    assert b"Ana Example" not in (event.data() or b"")
    assert b'"4711"' not in (event.data() or b"")
    opened = jwe.decrypt_compact(event.sealed_contact, hub_key).plaintext
    assert ContactBlock.model_validate_json(opened or b"").display_name == "Ana Example"


async def test_a_second_run_of_the_same_file_sends_nothing(
    center: Center, a_person: APerson
) -> None:
    await center.run([a_person("1"), a_person("2")])

    results = await center.run([a_person("1"), a_person("2")])

    assert [one.outcome for one in results] == [RowOutcome.UNCHANGED] * 2
    assert len(center.network.sent) == 2


async def test_only_changed_rows_are_sent(center: Center, a_person: APerson) -> None:
    await center.run([a_person("1"), a_person("2")])

    results = await center.run([a_person("1"), a_person("2", topic="immunotherapy")])

    assert {one.local_id: one.outcome for one in results} == {
        "1": RowOutcome.UNCHANGED,
        "2": RowOutcome.ACCEPTED,
    }
    before, after = (one for one in center.network.sent if one.key == center.network.sent[-1].key)
    assert (after.envelope.sequence or 0) > (before.envelope.sequence or 0)


async def test_a_receipt_that_never_comes_is_said_and_asked_for_again(
    center: Center, a_person: APerson
) -> None:
    center.network.is_silent = True
    (first,) = await center.run([a_person("1")])

    center.network.is_silent = False
    (second,) = await center.run([a_person("1")])

    assert (first.outcome, second.outcome) == (RowOutcome.PENDING, RowOutcome.ACCEPTED)
    assert first.event_id == second.event_id
    assert len(center.network.taken) == 1


async def test_a_rejection_says_why_and_is_tried_anew_by_the_next_run(
    center: Center, a_person: APerson
) -> None:
    (first,) = await center.run([a_person("1", topic="refused")])
    (second,) = await center.run([a_person("1", topic="refused")])

    assert first.outcome is second.outcome is RowOutcome.REJECTED
    assert first.problems[0].rule == "refused"
    assert first.event_id != second.event_id


async def test_a_cut_line_loses_and_doubles_nothing(
    center: Center, a_person: APerson, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publisher_module, "BATCH_ROWS", 4)
    people = [a_person(str(n)) for n in range(10)]
    center.network.fails_after = 6
    with pytest.raises(UnreachableError):
        await center.run(people)

    center.network.fails_after = None
    results = await center.run(people)

    assert len(results) == 10
    assert len(center.network.taken) == 10
    assert len({one.key for one in center.network.taken.values()}) == 10
    assert sum(one.outcome is RowOutcome.UNCHANGED for one in results) == 6


async def test_bad_rows_pass_through_and_cost_nobody_else(
    center: Center, a_person: APerson
) -> None:
    wrong = BadRow(3, "x", (problem("profile.topics", "unknown_code", "no", "mend it"),))

    results = await center.run([a_person("1"), wrong, a_person("2")])

    assert {one.outcome for one in results} == {RowOutcome.ACCEPTED, RowOutcome.INVALID}
    assert len(center.network.sent) == 2


async def test_a_person_is_taken_out_once_and_can_come_back(
    center: Center, a_person: APerson
) -> None:
    await center.run([a_person("1")])
    (out,) = await center.run(withdrawals(["1", " 1 "]))
    (again,) = await center.run(withdrawals(["1"]))
    (back,) = await center.run([a_person("1")])

    assert (out.outcome, again.outcome) == (RowOutcome.ACCEPTED, RowOutcome.UNCHANGED)
    assert back.outcome is RowOutcome.ACCEPTED
    kinds = [type(one.event) for one in center.network.sent]
    assert kinds == [PersonSubmitted, PersonWithdrawn, PersonSubmitted]
    sequences = [one.envelope.sequence or 0 for one in center.network.sent]
    assert sequences == sorted(set(sequences))


async def test_two_rows_about_one_person_are_a_bug_of_the_caller(
    center: Center, a_person: APerson
) -> None:
    with pytest.raises(ValueError, match="earlier row"):
        await center.run([a_person("1"), a_person("1", row=3)])


async def test_a_preview_tells_what_would_be_sent_and_writes_nothing(
    center: Center, a_person: APerson
) -> None:
    await center.run([a_person("1")])
    size = center.path.stat().st_size
    key = center.credentials.center_key

    with Journal(center.path, "harbor-demo", key) as journal:
        results = list(preview(key, "harbor-demo", journal, [a_person("1"), a_person("2")]))

    assert [one.outcome for one in results] == [RowOutcome.UNCHANGED, RowOutcome.WOULD_SEND]
    assert center.path.stat().st_size == size
    assert len(center.network.sent) == 1
