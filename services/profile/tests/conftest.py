"""Member centers to speak as, and the hub that hears them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, TypeVar
from uuid import UUID, uuid4

import pytest

from oncomentor_contracts.block import ContactBlock, ContactChanged, KeyChanged, SurvivorBlock
from oncomentor_contracts.envelope import Envelope
from oncomentor_contracts.event import Event
from oncomentor_contracts.identifiers import pseudonym
from oncomentor_contracts.institution import Institution, InstitutionSubmitted
from oncomentor_contracts.profile import CodedProfile, PersonSubmitted, PersonWithdrawn
from oncomentor_contracts.programme import Programme, ProgrammeSubmitted
from oncomentor_contracts.receipt import ReceiptAccepted, ReceiptRejected
from profile_service.handlers import subscriptions
from profile_service.handlers.vault import Vault
from profile_service.store import registry
from servicekit import security
from servicekit.security import Key
from servicekit.service import packaged
from servicekit.subscription import Subscription
from servicekit.tx import Tx

E = TypeVar("E", bound=Event)
LAST_YEAR = datetime(2025, 5, 1, tzinfo=UTC)


@pytest.fixture(scope="session")
def migrations() -> Any:
    return packaged("profile_service")


@dataclass
class Hub:
    """The service's handlers with keys of their own, and the readers' side of what they say."""

    intake: Key = field(default_factory=security.generate_key)
    readers: dict[str, Key] = field(
        default_factory=lambda: {
            name: security.generate_key() for name in ("matching", "notification")
        }
    )
    kek: bytes = field(default_factory=security.new_dek)

    @property
    def vault(self) -> Vault:
        return Vault(self.intake, self.kek, self.readers)

    @property
    def subscription(self) -> Subscription:
        return subscriptions(self.vault)[0]

    async def hear(self, event: Event, tx: Tx) -> Sequence[Event]:
        handler: Callable[..., Any] = self.subscription.handlers[type(event)]  # type: ignore[assignment]
        said: Sequence[Event] = await handler(event, tx)
        return said

    async def register(self, tx: Tx, *centers: "Center") -> None:
        for center in centers:
            await registry.upsert_institution(tx, center.itself(), None)

    async def define(self, tx: Tx, *programmes: Programme) -> None:
        for programme in programmes:
            await registry.upsert_programme(tx, programme, None)

    def block_key(self, reader: str, changed: KeyChanged) -> bytes:
        """The reader's key of a person, opened with the reader's private key."""
        sealed = next(key for key in changed.keys if key.reader == reader)
        return security.unseal(self.readers[reader], sealed.jwe)

    def contact_said(self, said: Sequence[Event]) -> ContactBlock:
        """What notification reads in a contact that was said together with its key."""
        key = self.block_key("notification", one(said, KeyChanged))
        changed = one(said, ContactChanged)
        plain = security.decrypt_block(key, "contact", changed.person_id, changed.block)
        return ContactBlock.model_validate_json(plain)


@dataclass
class Center:
    """A member center: its people's ids, and its events as they arrive at the hub."""

    institution_id: str
    intake: Key
    key: bytes = field(default_factory=security.new_dek)

    def person_id(self, name: str) -> UUID:
        return pseudonym(self.key, self.institution_id, name)

    def itself(self, **changes: Any) -> Institution:
        entry = {
            "institution_id": self.institution_id,
            "name": f"{self.institution_id} cancer center",
            "time_zone": "Europe/Lisbon",
            "jurisdiction": "PT",
        }
        return Institution.model_validate(entry | changes)

    def programme(self, programme_id: str = "grants", **changes: Any) -> Programme:
        entry = {
            "programme_id": programme_id,
            "owner": self.institution_id,
            "name": "Grant writing",
            "kind": "research",
            "weights": [{"criterion": "goals", "weight": 1.0}],
        }
        return Programme.model_validate(entry | changes)

    def profile(self, **changes: Any) -> CodedProfile:
        entry = {
            "profession": "medical_oncologist",
            "languages": ["en", "pt-BR"],
            "time_zone": "Europe/Lisbon",
            "consents": [consent("matching"), consent("survivor_data")],
        }
        return CodedProfile.model_validate(entry | changes)

    def submits(
        self,
        name: str = "ada",
        *,
        contact: ContactBlock | None = None,
        survivor: SurvivorBlock | None = None,
        sequence: int | None = None,
        event_id: UUID | None = None,
        **profile: Any,
    ) -> PersonSubmitted:
        event = PersonSubmitted(
            institution_id=self.institution_id,
            person_id=self.person_id(name),
            profile=self.profile(**profile),
            sealed_contact=self.seal(contact or a_contact(name)),
            sealed_survivor=self.seal(survivor) if survivor else None,
        )
        return self.sends(event, sequence=sequence, event_id=event_id)

    def withdraws(self, name: str = "ada", *, sequence: int | None = None) -> PersonWithdrawn:
        event = PersonWithdrawn(institution_id=self.institution_id, person_id=self.person_id(name))
        return self.sends(event, sequence=sequence)

    def describes_itself(
        self, *, sequence: int | None = None, **changes: Any
    ) -> InstitutionSubmitted:
        event = InstitutionSubmitted(**dict(self.itself(**changes)))
        return self.sends(event, sequence=sequence)

    def defines(self, programme: Programme, *, sequence: int | None = None) -> ProgrammeSubmitted:
        event = ProgrammeSubmitted(**dict(programme), institution_id=self.institution_id)
        return self.sends(event, sequence=sequence)

    def seal(self, block: ContactBlock | SurvivorBlock) -> str:
        return security.seal(self.intake, block.model_dump_json().encode())

    def sends(self, event: E, *, sequence: int | None = None, event_id: UUID | None = None) -> E:
        """The event as the hub receives it from this center."""
        envelope = Envelope(
            id=event_id or uuid4(),
            source=f"/institutions/{self.institution_id}",
            type=event.TYPE,
            subject=event.subject,
            time=LAST_YEAR,
            sequence=sequence,
        )
        return type(event).received(envelope, event.data())


def consent(purpose: str) -> dict[str, Any]:
    return {"purpose": purpose, "text_version": "2025-1", "given_at": LAST_YEAR}


def a_contact(name: str = "ada", **changes: Any) -> ContactBlock:
    entry = {
        "display_name": f"Dr {name.title()} Lovelace",
        "email": f"{name}.lovelace@mail.invalid",
        "phone": "+351 555 0100",
        "own_words": "I climb on Sundays and would like to learn to say no.",
    }
    return ContactBlock.model_validate(entry | changes)


def a_survivor(**changes: Any) -> SurvivorBlock:
    entry = {
        "cancer_type": "IDC",
        "treatments": ["chemotherapy"],
        "years_since_treatment": 3.25,
        "concerns": ["fear_of_recurrence"],
    }
    return SurvivorBlock.model_validate(entry | changes)


def one(said: Sequence[Event], kind: type[E]) -> E:
    """The one event of a kind among those said."""
    (found,) = [event for event in said if isinstance(event, kind)]
    return found


def kinds(said: Sequence[Event]) -> list[str]:
    return [type(event).__name__ for event in said]


def rules(said: Sequence[Event]) -> list[tuple[str, str]]:
    """(field, rule) of each problem of the one rejection that was said."""
    (rejected,) = said
    assert isinstance(rejected, ReceiptRejected), rejected
    return [(problem.field, problem.rule) for problem in rejected.problems]


def was_applied(said: Sequence[Event]) -> bool:
    return isinstance(said[-1], ReceiptAccepted)


@pytest.fixture(scope="session")
def hub_keys() -> Hub:
    return Hub()


@pytest.fixture
def hub(hub_keys: Hub) -> Hub:
    return replace(hub_keys)


@pytest.fixture
def north(hub: Hub) -> Center:
    return Center("north-center", hub.intake)


@pytest.fixture
def south(hub: Hub) -> Center:
    return Center("south-center", hub.intake)
