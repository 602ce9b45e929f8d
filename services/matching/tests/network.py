"""Matching with its database, without a broker: hear events, let time pass, see what is said."""

import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta
from itertools import count
from typing import Any, TypeVar
from uuid import UUID

from services.matching.tests.builders import NORTH, PROGRAMME, SOUTH, TAXONOMY, person_id

from matching_service.handlers import subscriptions
from matching_service.jobs import jobs
from matching_service.jobs.judge import Judge
from matching_service.store.survivors import BlockReader
from oncomentor_contracts.block import (
    EncryptedBlock,
    KeyChanged,
    SealedKey,
    SurvivorBlock,
    SurvivorChanged,
)
from oncomentor_contracts.envelope import Envelope
from oncomentor_contracts.event import Event
from oncomentor_contracts.identifiers import uuid7
from oncomentor_contracts.institution import InstitutionChanged
from oncomentor_contracts.matching import Answer, MatchProposed, ResponseGiven
from oncomentor_contracts.profile import CodedProfile, ProfileChanged
from oncomentor_contracts.programme import ProgrammeChanged
from oncomentor_contracts.receipt import ReceiptRejected
from oncomentor_contracts.scheduling import AvailabilityChanged
from oncomentor_contracts.topics import Kind
from servicekit import security
from servicekit.saying.outbox import Cause
from servicekit.subscription import Bulk, Timer
from servicekit.tx import Tx
from testkit.plugin import NOW

E = TypeVar("E", bound=Event)
READER_KEY = security.generate_key()
READER = BlockReader(READER_KEY)
JOBS = dict(jobs(Judge(TAXONOMY, READER)))
MIA, MAX = person_id("mia"), person_id("max")
_SEQUENCES = count(1)


def heard(event: E, *, sequence: int | None = None) -> E:
    """The event as it arrives: said by its center on ingress, else by a service."""
    ingress = event.TOPIC.kind is Kind.INGRESS
    source = f"/institutions/{event.institution_id}" if ingress else "/services/profile"  # type: ignore[attr-defined]
    envelope = Envelope(
        id=uuid7(NOW),
        source=source,
        type=event.TYPE,
        subject=event.subject,
        time=NOW,
        sequence=next(_SEQUENCES) if sequence is None else sequence,
        correlationid=f"because of {event.subject}",
    )
    return type(event).received(envelope, event.data())


def a_policy(**changes: Any) -> dict[str, Any]:
    return {"clearance": "auto"} | changes


def an_institution(
    institution_id: str = NORTH, state: str = "active", **policy: Any
) -> InstitutionChanged:
    return InstitutionChanged.model_validate(
        {
            "institution_id": institution_id,
            "name": f"{institution_id} (synthetic)",
            "time_zone": "Europe/Lisbon",
            "jurisdiction": "PT" if institution_id == NORTH else "DE",
            "policy": a_policy(**policy),
            "state": state,
        }
    )


def a_programme_state(**changes: Any) -> ProgrammeChanged:
    weights = [{"criterion": "goals", "weight": 0.8}, {"criterion": "availability", "weight": 0.2}]
    fields = {
        "programme_id": PROGRAMME,
        "owner": "consortium",
        "name": "Grant writing",
        "kind": "research",
        "weights": weights,
    }
    return ProgrammeChanged.model_validate(fields | changes)


def _a_profile(profile: dict[str, Any]) -> CodedProfile:
    hours = [{"weekday": day, "starts": "09:00", "ends": "17:00"} for day in range(1, 6)]
    consents = [
        {"purpose": purpose, "text_version": "2026-01", "given_at": "2026-01-05T09:00:00Z"}
        for purpose in ("matching", "survivor_data")
    ]
    defaults = {
        "profession": "medical_oncologist",
        "languages": ["en"],
        "time_zone": "Europe/Lisbon",
        "weekly_hours": hours,
        "consents": consents,
    }
    return CodedProfile.model_validate(defaults | profile)


def _a_state(name: str, center: str, version: int, profile: dict[str, Any]) -> ProfileChanged:
    return ProfileChanged(
        person_id=person_id(name),
        institution_id=center,
        version=version,
        profile=_a_profile(profile),
        changed_at=NOW - timedelta(days=1),
    )


def mentor_state(
    name: str = "max", center: str = SOUTH, version: int = 1, role: Any = None, **profile: Any
) -> ProfileChanged:
    mentor = {"programme_id": PROGRAMME, "offers": ["grant_writing"], "capacity": 1} | (role or {})
    return _a_state(name, center, version, {"mentor_roles": [mentor]} | profile)


def mentee_state(
    name: str = "mia", center: str = NORTH, version: int = 1, role: Any = None, **profile: Any
) -> ProfileChanged:
    mentee = {"programme_id": PROGRAMME, "goals": ["grant_writing"]} | (role or {})
    return _a_state(name, center, version, {"mentee_roles": [mentee]} | profile)


def availability(name: str, center: str, **changes: Any) -> AvailabilityChanged:
    fields = {
        "person_id": person_id(name),
        "institution_id": center,
        "time_zone": "Europe/Lisbon",
        "weekly_hours": [
            {"weekday": 1, "starts": time(9).isoformat(), "ends": time(10).isoformat()}
        ],
    }
    return AvailabilityChanged.model_validate(fields | changes)


def a_survivor(**changes: Any) -> SurvivorBlock:
    fields = {"cancer_type": "IDC", "years_since_treatment": 3} | changes
    return SurvivorBlock.model_validate(fields)


def survivor_events(
    name: str, center: str, block: SurvivorBlock
) -> tuple[SurvivorChanged, KeyChanged]:
    """A survivor's block and the key to it, as the profile service says them."""
    key = security.purpose_key(security.new_dek(), "survivor")
    key_id = security.new_key_id()
    plain = block.model_dump_json().encode()
    sealed: EncryptedBlock = security.encrypt_block(key, key_id, "survivor", person_id(name), plain)
    jwe = security.seal(READER_KEY, key)
    return (
        SurvivorChanged(person_id=person_id(name), institution_id=center, block=sealed),
        KeyChanged(
            person_id=person_id(name),
            key_id=key_id,
            keys=(
                SealedKey(reader="notification", purpose="contact", jwe=jwe),
                SealedKey(reader="matching", purpose="survivor", jwe=jwe),
            ),
        ),
    )


def a_response(
    match_id: UUID, word: str, center: str = SOUTH, person: UUID | None = None
) -> ResponseGiven:
    return heard(
        ResponseGiven(
            institution_id=center, match_id=match_id, answer=Answer(word), person_id=person
        )
    )


@dataclass
class Matching:
    """The service's handlers and jobs over one transaction; `said` is everything it said."""

    tx: Tx
    said: list[Event] = field(default_factory=list)

    async def hears(self, *events: Event) -> list[Event]:
        """Handle events as they come; return what was said at once."""
        said: list[Event] = []
        for event in events:
            received = event if hasattr(event, "_envelope") else heard(event)
            said += await handle(received, self.tx)
        self.said += said
        return said

    async def works(self) -> list[Event]:
        """Do the jobs that are due until none is; return what they said."""
        said: list[Event] = []
        while timer := await due_timer(self.tx):
            said += await do_job(self.tx, timer)
        self.said += said
        return said

    async def waits(self, **duration: int) -> list[Event]:
        """Let time pass, job by job; return what was said meanwhile."""
        until = self.tx.now + timedelta(**duration)
        said: list[Event] = []
        while (due := await self._next_due()) is not None and due <= until:
            self.tx.now = max(self.tx.now, due)
            said += await self.works()
        self.tx.now = until
        return said

    async def proposes(self, **kwargs: Any) -> MatchProposed:
        """Two centers, a programme, a mentor and a mentee: the match between them."""
        await self.hears(*a_network(**kwargs))
        await self.waits(seconds=1)
        (proposed,) = [event for event in self.said if isinstance(event, MatchProposed)]
        return proposed

    async def answers(
        self, match_id: UUID, word: str, center: str = SOUTH, person: UUID | None = None
    ) -> list[Event]:
        """Send a center's answer; return the receipt and everything said because of it."""
        said = await self.hears(a_response(match_id, word, center, person))
        return said + await self.works()

    async def _next_due(self) -> datetime | None:
        due: datetime | None = await self.tx.conn.fetchval(
            "SELECT min(due_at) FROM kit.timers WHERE kind = ANY($1::text[])", list(JOBS)
        )
        return due


def a_network(
    north: dict[str, Any] | None = None,
    south: dict[str, Any] | None = None,
    programme: dict[str, Any] | None = None,
) -> list[Event]:
    return [
        an_institution(NORTH, **(north or {})),
        an_institution(SOUTH, **(south or {})),
        a_programme_state(**(programme or {})),
        mentor_state(),
        mentee_state(),
    ]


def begin_anew() -> None:
    """Have the jobs of a process that has just started: nothing of another database in memory."""
    JOBS.update(jobs(Judge(TAXONOMY, READER)))


async def handle(event: Event, tx: Tx) -> Sequence[Event]:
    """What the kernel does with one event."""
    (handler,) = [
        made.handlers[type(event)] for made in subscriptions() if type(event) in made.handlers
    ]
    tx.cause = Cause.of(event.envelope)
    if isinstance(handler, Bulk):
        return await handler.handle([event], tx)
    call: Callable[[Event, Tx], Awaitable[Sequence[Event]]] = handler
    return await call(event, tx)


async def due_timer(tx: Tx) -> Timer | None:
    row = await tx.conn.fetchrow(
        """
        SELECT * FROM kit.timers WHERE due_at <= $1 AND kind = ANY($2::text[])
         ORDER BY due_at, kind, key LIMIT 1
        """,
        tx.now,
        list(JOBS),
    )
    if row is None:
        return None
    return Timer(
        kind=row["kind"],
        key=row["key"],
        payload=json.loads(row["payload"]),
        attempts=row["attempts"],
        version=row["version"],
        cause=Cause(row["traceparent"], row["correlationid"], row["causationid"]),
    )


async def do_job(tx: Tx, timer: Timer) -> Sequence[Event]:
    """What the kernel does with one timer."""
    tx.cause = timer.cause
    said = await JOBS[timer.kind](timer, tx)
    left = await tx.conn.fetchval(
        "SELECT version FROM kit.timers WHERE kind = $1 AND key = $2", timer.kind, timer.key
    )
    assert left is not None, "a job must not take its own timer away"
    if left == timer.version:
        await tx.cancel(timer.kind, timer.key)
    return said


def kinds(events: Sequence[Event]) -> list[str]:
    return [type(event).__name__ for event in events]


def of_kind(events: Sequence[Event], kind: type[E]) -> list[E]:
    return [event for event in events if isinstance(event, kind)]


def rejection(events: Sequence[Event]) -> str:
    """The rule of the one rejection among events."""
    (rejected,) = of_kind(events, ReceiptRejected)
    return rejected.problems[0].rule


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[arg-type,misc]
