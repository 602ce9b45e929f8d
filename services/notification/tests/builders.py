"""Facts to tell the service, with defaults that only need saying where they matter."""

from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar
from uuid import UUID, uuid4

from oncomentor_contracts.block import ContactBlock, ContactChanged, KeyChanged, SealedKey
from oncomentor_contracts.envelope import Envelope
from oncomentor_contracts.event import Event
from oncomentor_contracts.institution import Clearance, InstitutionChanged, InstitutionPolicy
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
from oncomentor_contracts.notification import Channel, DeliveryIntended, Invitation, Template
from oncomentor_contracts.profile import CodedProfile, Consent, ProfileChanged, Purpose
from oncomentor_contracts.programme import (
    Criterion,
    CriterionWeight,
    ProgrammeChanged,
    ProgrammeKind,
)
from oncomentor_contracts.scheduling import (
    Attendee,
    LinkIssued,
    SessionBooked,
    SessionUnbookable,
    UnbookableReason,
)
from servicekit import security
from testkit.plugin import NOW

E = TypeVar("E", bound=Event)

NORTH, SOUTH = "north-center", "south-center"
MENTOR = UUID("11111111-1111-8111-8111-111111111111")
MENTEE = UUID("22222222-2222-8222-8222-222222222222")
MATCH = UUID("33333333-3333-8333-8333-333333333333")
SESSION = UUID("44444444-4444-8444-8444-444444444444")
PROGRAMME = "early-career"
STARTS_AT = datetime(2026, 3, 9, 15, 0, tzinfo=UTC)
CLEAR_BY = NOW + timedelta(days=3)
RESPOND_BY = NOW + timedelta(days=2)
LINK = "https://meet.example.org/r/7f3a"
READER = security.generate_key()


def heard(event: E, *, at: datetime = NOW, sequence: int = 1) -> E:
    """Return the event as the kernel hands it over: with an envelope."""
    envelope = Envelope(
        id=uuid4(),
        source="/services/test",
        type=event.TYPE,
        subject=event.subject,
        time=at,
        sequence=sequence,
    )
    return type(event).received(envelope, event.data())


def an_institution(
    institution_id: str = NORTH,
    *,
    name: str | None = None,
    clearance: Clearance = Clearance.MANUAL,
    time_zone: str = "Europe/Lisbon",
) -> InstitutionChanged:
    return InstitutionChanged(
        institution_id=institution_id,
        name=name or institution_id.replace("-", " ").title(),
        time_zone=time_zone,
        jurisdiction="PT",
        policy=InstitutionPolicy(clearance=clearance),
    )


def a_programme(
    *, name: str = "Early Career", kind: ProgrammeKind = ProgrammeKind.RESEARCH
) -> ProgrammeChanged:
    return ProgrammeChanged(
        programme_id=PROGRAMME,
        owner="consortium",
        name=name,
        kind=kind,
        weights=(CriterionWeight(criterion=Criterion.GOALS, weight=1),),
    )


def a_profile(
    person_id: UUID = MENTOR,
    *,
    institution_id: str = NORTH,
    time_zone: str = "Europe/Lisbon",
    may_be_named: bool = True,
) -> ProfileChanged:
    consent = Consent(purpose=Purpose.CONTACT_ON_MATCH, text_version="1", given_at=NOW)
    return ProfileChanged(
        person_id=person_id,
        institution_id=institution_id,
        version=1,
        profile=CodedProfile(
            profession="oncologist",
            languages=("en",),
            time_zone=time_zone,
            consents=(consent,) if may_be_named else (),
        ),
        changed_at=NOW,
    )


def a_contact_block(**changed: Any) -> ContactBlock:
    fields = {
        "display_name": "Ana Reis",
        "email": "ana.reis@north.example",
        "email_confirmed_at": NOW,
        "locale": "en",
    }
    return ContactBlock.model_validate(fields | changed)


def a_contact_and_key(
    person_id: UUID = MENTOR,
    *,
    institution_id: str = NORTH,
    contact: ContactBlock | None = None,
    plaintext: bytes | None = None,
    reader: security.Key = READER,
) -> tuple[ContactChanged, KeyChanged]:
    """Return a person's contact and key as profile says them."""
    key_id = security.new_key_id()
    subkey = security.purpose_key(security.new_dek(), "contact")
    written = plaintext or (contact or a_contact_block()).model_dump_json().encode()
    block = security.encrypt_block(subkey, key_id, "contact", person_id, written)
    sealed = SealedKey(reader="notification", purpose="contact", jwe=security.seal(reader, subkey))
    return (
        ContactChanged(person_id=person_id, institution_id=institution_id, block=block),
        KeyChanged(person_id=person_id, key_id=key_id, keys=(sealed,)),
    )


def a_proposal(
    *,
    mentor_at: str = NORTH,
    mentee_at: str = SOUTH,
    points: tuple[tuple[float, str], ...] = ((0.5, "shares two goals"),),
) -> MatchProposed:
    return MatchProposed(
        match_id=MATCH,
        programme_id=PROGRAMME,
        mentor=Party(person_id=MENTOR, institution_id=mentor_at, profile_version=1),
        mentee=Party(person_id=MENTEE, institution_id=mentee_at, profile_version=1),
        score=0.8,
        explanation=Explanation(
            criteria_version=1,
            rules=(RuleChecked(rule="shared-language", fact="en"),),
            contributions=tuple(
                Contribution(
                    criterion=Criterion.GOALS, weight=0.5, value=0.5, points=value, reason=reason
                )
                for value, reason in points
            ),
        ),
        clear_by=CLEAR_BY,
    )


def an_offer(to: Side = Side.MENTOR) -> MatchOffered:
    person = MENTOR if to is Side.MENTOR else MENTEE
    return MatchOffered(match_id=MATCH, to=to, person_id=person, respond_by=RESPOND_BY)


def a_yes(by: Side = Side.MENTOR) -> MatchAccepted:
    person = MENTOR if by is Side.MENTOR else MENTEE
    return MatchAccepted(match_id=MATCH, by=by, person_id=person)


def an_activation() -> MatchActivated:
    proposal = a_proposal()
    return MatchActivated(
        match_id=MATCH,
        programme_id=PROGRAMME,
        mentor=proposal.mentor,
        mentee=proposal.mentee,
        activated_at=NOW,
    )


def a_clearance(institution_id: str = NORTH) -> MatchCleared:
    return MatchCleared(match_id=MATCH, institution_id=institution_id, by=ClearedBy.PERSON)


def a_session(*, starts_at: datetime = STARTS_AT, sequence: int = 0) -> SessionBooked:
    return SessionBooked(
        session_id=SESSION,
        match_id=MATCH,
        programme_id=PROGRAMME,
        attendees=(
            Attendee(
                person_id=MENTOR, institution_id=NORTH, side=Side.MENTOR, time_zone="Europe/Lisbon"
            ),
            Attendee(
                person_id=MENTEE,
                institution_id=SOUTH,
                side=Side.MENTEE,
                time_zone="America/New_York",
            ),
        ),
        starts_at=starts_at,
        duration_minutes=60,
        time_zone="Europe/Lisbon",
        ical_uid=f"{SESSION}@oncomentor",
        ical_sequence=sequence,
    )


def an_unbookable_session() -> SessionUnbookable:
    return SessionUnbookable(
        session_id=SESSION, match_id=MATCH, reason=UnbookableReason.NO_COMMON_HOUR
    )


def a_link() -> LinkIssued:
    return LinkIssued(session_id=SESSION, url=LINK)


def an_intent(template: Template = Template.SESSION_INVITATION, **changed: Any) -> DeliveryIntended:
    """Return what the deciding half says to have the mentor told."""
    is_invitation = template is Template.SESSION_INVITATION
    session = a_session()
    invitation = Invitation(
        session_id=SESSION,
        starts_at=session.starts_at,
        duration_minutes=session.duration_minutes,
        time_zone=session.time_zone,
        ical_uid=session.ical_uid,
        ical_sequence=session.ical_sequence,
    )
    fields = {
        "delivery_id": uuid4(),
        "person_id": MENTOR,
        "institution_id": NORTH,
        "counterpart_id": None if template is Template.MATCH_OFFERED else MENTEE,
        "counterpart_institution_id": SOUTH,
        "match_id": MATCH,
        "programme_id": PROGRAMME,
        "side": Side.MENTOR,
        "channel": Channel.MAIL,
        "template": template,
        "respond_by": RESPOND_BY if template is Template.MATCH_OFFERED else None,
        "invitation": invitation if is_invitation else None,
    }
    return DeliveryIntended.model_validate(fields | changed)
