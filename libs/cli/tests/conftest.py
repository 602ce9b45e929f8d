"""A stack's folder that nobody runs, and the story's world as a working network would leave it."""

import dataclasses
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest

from oncomentor_cli.demo.agents import Agent
from oncomentor_cli.demo.cast import CENTERS, PROGRAMMES
from oncomentor_cli.demo.files import write_files
from oncomentor_cli.demo.inbox import Calendar, Mail
from oncomentor_cli.demo.rules import Known, Span, broken_rules, free_spans, known, seats, wanted
from oncomentor_cli.demo.world import World
from oncomentor_client.credentials import Credentials
from oncomentor_client.people import read_people
from oncomentor_client.publisher import RowOutcome, RowResult
from oncomentor_client.row import BadRow, problem
from oncomentor_client.subscriber import Received
from oncomentor_contracts.envelope import Envelope
from oncomentor_contracts.event import Event
from oncomentor_contracts.identifiers import derived_id, pseudonym, uuid7
from oncomentor_contracts.matching import (
    ClearedBy,
    Contribution,
    Explanation,
    MatchAccepted,
    MatchActivated,
    MatchCleared,
    MatchOffered,
    MatchProposed,
    Party,
    RuleChecked,
    Side,
)
from oncomentor_contracts.notification import (
    Channel,
    DeliveryIntended,
    DeliverySent,
    Invitation,
    Template,
)
from oncomentor_contracts.programme import Criterion, Programme
from oncomentor_contracts.receipt import Outcome, ReceiptAccepted
from oncomentor_contracts.scheduling import Attendee, SessionBooked

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
KEY = "b25seSB0aGUgaGFyYm9yIGNlbnRlciBrbm93cyB0aGlz"
CREDENTIALS = """
institution_id = "{id}"
pseudonym_key = "{key}"
[kafka]
bootstrap = "127.0.0.1:9"
security = "SASL_PLAINTEXT"
mechanism = "SCRAM-SHA-512"
username = "inst-{id}"
password = "x"
group_prefix = "{id}."
[http]
profile = "http://127.0.0.1:9"
matching = "http://127.0.0.1:9"
intake_key = "http://127.0.0.1:9/v1/keys/intake"
[oidc]
token_endpoint = "http://127.0.0.1:9/token"
client_id = "inst-{id}"
client_secret = "x"
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A stack's folder with the credentials of the centers; nothing runs."""
    monkeypatch.setenv("ONCOMENTOR_HOME", str(tmp_path))
    monkeypatch.setenv("NO_COLOR", "1")
    (tmp_path / "credentials").mkdir()
    for center in CENTERS:
        text = CREDENTIALS.format(id=center.id, key=KEY)
        (tmp_path / "credentials" / f"{center.id}.toml").write_text(text)
    return tmp_path


@pytest.fixture
def world(home: Path) -> World:
    """The world after a story in which nothing went wrong."""
    return Telling(home).world


class Telling:
    """Plays the network's part: pairs people by the rules, and says what follows."""

    def __init__(self, home: Path) -> None:
        self.world = World(home=home, began_at=NOW, files=write_files(home / "demo"))
        self.busy: set[tuple[UUID, datetime]] = set()
        self.clock = NOW
        credentials = {
            center.id: Credentials.load(home / "credentials" / f"{center.id}.toml")
            for center in CENTERS
        }
        self.world.credentials = credentials
        self.world.people = dict(self._people())
        observation = self.world.observation
        self.world.agents = [Agent(one, credentials[one.id], observation) for one in CENTERS]
        self._publish()
        for programme in PROGRAMMES:
            for mentor, mentee in self._pairs(programme):
                self._tell(programme, mentor, mentee)
        self.world.before = {name: 0 for name in self.world.counts()}

    def say(self, event: Event, source: str = "/services/matching") -> None:
        self.clock += timedelta(milliseconds=250)
        envelope = Envelope(
            id=uuid7(self.clock), source=source, type=event.TYPE, subject=event.subject,
            time=self.clock, sequence=1,
        )  # fmt: skip
        received = Received(
            topic=event.topic_name, partition=0, offset=0, at=self.clock, key=None,
            value=event.data(), envelope=envelope, event=event,
        )  # fmt: skip
        self.world.observation.take(received, 0.0)

    def _people(self) -> Iterator[tuple[UUID, Known]]:
        for file in self.world.files:
            key = self.world.credentials[file.center.id].center_key
            for plan in file.good:
                person_id = pseudonym(key, file.center.id, plan.local_id)
                yield person_id, known(plan, person_id)

    def _publish(self) -> None:
        for file in self.world.files:
            results = self.world.results.setdefault(file.center.id, [])
            for row in read_people(file.path):
                if isinstance(row, BadRow):
                    result = RowResult(row.row, row.local_id, RowOutcome.INVALID)
                    results.append(dataclasses.replace(result, problems=row.problems))
                    continue
                result = RowResult(row.row, row.local_id, RowOutcome.ACCEPTED)
                if fault := file.faults.get(row.row):
                    told = problem(fault.field, fault.rule, "is not yours", "use another")
                    result = dataclasses.replace(
                        result, outcome=RowOutcome.REJECTED, problems=(told,)
                    )
                results.append(result)
            for person in self.world.people.values():
                if person.center_id == file.center.id:
                    self._accept(person)

    def _accept(self, person: Known) -> None:
        self.say(
            ReceiptAccepted(
                institution_id=person.center_id, receipt_for=str(uuid7(NOW)),
                event_type="person.submitted.v1", about=str(person.person_id),
                outcome=Outcome.APPLIED, at=NOW,
            ),
            "/services/profile",
        )  # fmt: skip

    def _pairs(self, programme: Programme) -> Iterator[tuple[Known, Known]]:
        taken: dict[UUID, int] = {}
        for mentee in self.world.people.values():
            for mentor in self.world.people.values() if wanted(mentee, programme) else ():
                is_full = taken.get(mentor.person_id, 0) >= seats(mentor, programme)
                if not is_full and not broken_rules(mentor, mentee, programme, NOW):
                    taken[mentor.person_id] = taken.get(mentor.person_id, 0) + 1
                    yield mentor, mentee
                    break

    def _tell(self, programme: Programme, mentor: Known, mentee: Known) -> None:
        match_id = derived_id("match", str(mentor.person_id), str(mentee.person_id))
        parties = [
            Party(person_id=one.person_id, institution_id=one.center_id, profile_version=1)
            for one in (mentor, mentee)
        ]
        self.say(
            MatchProposed(
                match_id=match_id, programme_id=programme.programme_id, mentor=parties[0],
                mentee=parties[1], score=0.6, explanation=_explanation(), clear_by=NOW,
            )
        )  # fmt: skip
        for center_id in dict.fromkeys((mentor.center_id, mentee.center_id)):
            self.say(MatchCleared(match_id=match_id, institution_id=center_id, by=ClearedBy.PERSON))
        for side, person in ((Side.MENTOR, mentor), (Side.MENTEE, mentee)):
            offer = MatchOffered(
                match_id=match_id, to=side, person_id=person.person_id, respond_by=NOW
            )
            self.say(offer)
            self._deliver(match_id, programme, side, (mentor, mentee), None)
            self.say(MatchAccepted(match_id=match_id, by=side, person_id=person.person_id))
        self.say(
            MatchActivated(
                match_id=match_id, programme_id=programme.programme_id, mentor=parties[0],
                mentee=parties[1], activated_at=NOW,
            )
        )  # fmt: skip
        self._book(match_id, programme, mentor, mentee)

    def _book(self, match_id: UUID, programme: Programme, mentor: Known, mentee: Known) -> None:
        starts_at = self._free_hour(mentor, mentee)
        session_id = derived_id("session", str(match_id))
        attendees = tuple(
            Attendee(
                person_id=one.person_id, institution_id=one.center_id, side=side,
                time_zone=one.profile.time_zone,
            )
            for side, one in ((Side.MENTOR, mentor), (Side.MENTEE, mentee))
        )  # fmt: skip
        session = SessionBooked(
            session_id=session_id, match_id=match_id, programme_id=programme.programme_id,
            attendees=attendees, starts_at=starts_at, duration_minutes=programme.session_minutes,
            time_zone="UTC", ical_uid=f"{session_id}@oncomentor", ical_sequence=0,
        )  # fmt: skip
        self.say(session, "/services/scheduling")
        for side in (Side.MENTOR, Side.MENTEE):
            self._deliver(match_id, programme, side, (mentor, mentee), session)

    def _free_hour(self, mentor: Known, mentee: Known) -> datetime:
        def spans(person: Known) -> list[Span]:
            return list(free_spans(person, NOW, days=21))

        for ours in spans(mentor):
            for theirs in spans(mentee):
                start, end = max(ours[0], theirs[0]), min(ours[1], theirs[1])
                while start + timedelta(hours=1) <= end:
                    keys = {(mentor.person_id, start), (mentee.person_id, start)}
                    if not keys & self.busy:
                        self.busy |= keys
                        return start
                    start += timedelta(hours=1)
        raise AssertionError("the two share no free hour in three weeks")

    def _deliver(
        self,
        match_id: UUID,
        programme: Programme,
        side: Side,
        pair: tuple[Known, Known],
        session: SessionBooked | None,
    ) -> None:
        mentor, mentee = pair
        person, other = (mentor, mentee) if side is Side.MENTOR else (mentee, mentor)
        template = Template.SESSION_INVITATION if session else Template.MATCH_OFFERED
        delivery_id = derived_id("delivery", template.value, str(match_id), side.value)
        self.say(
            DeliveryIntended(
                delivery_id=delivery_id, person_id=person.person_id,
                institution_id=person.center_id, counterpart_institution_id=other.center_id,
                counterpart_id=other.person_id if session else None, match_id=match_id,
                programme_id=programme.programme_id, side=side, channel=Channel.MAIL,
                template=template, invitation=None if session is None else _invitation(session),
            ),
            "/services/notification",
        )  # fmt: skip
        message_id = f"<{delivery_id}@mail.invalid>"
        self.say(
            DeliverySent(delivery_id=delivery_id, message_id=message_id, sent_at=NOW),
            "/services/notification",
        )
        self.world.mails.append(
            Mail(
                id=str(delivery_id), received_at=self.clock, recipients=(person.contact.email,),
                subject=template.value, message_id=message_id, words="Hello,",
                calendar=None if session is None else _calendar(session, person, other),
            )
        )  # fmt: skip


def _explanation() -> Explanation:
    return Explanation(
        criteria_version=1,
        rules=(RuleChecked(rule="two-people", fact="two different people"),),
        contributions=(
            Contribution(
                criterion=Criterion.GOALS, weight=1.0, value=0.6, points=0.6, reason="goals fit"
            ),
        ),
    )


def _invitation(session: SessionBooked) -> Invitation:
    return Invitation(
        session_id=session.session_id, starts_at=session.starts_at,
        duration_minutes=session.duration_minutes, time_zone=session.time_zone,
        ical_uid=session.ical_uid, ical_sequence=session.ical_sequence,
    )  # fmt: skip


def _calendar(session: SessionBooked, person: Known, other: Known) -> Calendar:
    return Calendar(
        method="REQUEST", uid=session.ical_uid, summary=f"with {other.contact.display_name}",
        starts_at=session.starts_at, duration="PT45M", attendees=(person.contact.email,),
    )  # fmt: skip
