"""A center's people: admitting what it submits, forgetting whom it withdraws."""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from uuid import UUID

from oncomentor_contracts.block import (
    ContactBlock,
    ContactChanged,
    ContactDeleted,
    KeyChanged,
    KeyDeleted,
    SurvivorBlock,
    SurvivorChanged,
    SurvivorDeleted,
)
from oncomentor_contracts.event import Body, Event
from oncomentor_contracts.profile import (
    CodedProfile,
    PersonSubmitted,
    PersonWithdrawn,
    ProfileChanged,
    ProfileDeleted,
)
from oncomentor_contracts.receipt import Problem
from oncomentor_contracts.validation import person_problems
from oncomentor_contracts.vocabulary import nearest
from profile_service import domain
from profile_service.domain import Change, Content, Pseudonym, Refused, SurvivorStep
from profile_service.handlers import problems
from profile_service.handlers.blocks import open_blocks
from profile_service.handlers.receipts import accept, reject
from profile_service.handlers.vault import CONTACT, SURVIVOR, PersonKey, Vault
from profile_service.store import people, registry
from servicekit.tx import Tx


@dataclass(frozen=True, slots=True)
class _Submission:
    """A person as submitted, found valid, with the key that their blocks go under."""

    person_id: UUID
    institution_id: str
    profile: CodedProfile
    contact: ContactBlock
    survivor: SurvivorBlock | None


async def admit_person(vault: Vault, event: PersonSubmitted, tx: Tx) -> Sequence[Event]:
    """Take in what a center says of one of its people, whole or not at all.

    Emits:
        KeyChanged: the person is new (or back), so their key is.
        ContactChanged, SurvivorChanged, SurvivorDeleted: this part is another than before.
        ProfileChanged: anything is, with the next version.
        ReceiptAccepted: also where nothing is.
        ReceiptRejected: a rule is broken; nothing was stored.
    """
    opened = open_blocks(vault.intake, event)
    wrong = [
        *person_problems(event, today=tx.now.date()),
        *opened.problems,
        *await _admission_problems(event, tx),
    ]
    if wrong or opened.contact is None:
        return [await reject(event, tx, wrong)]
    pseudonym = await people.lock_new_pseudonym(tx, event.person_id, event.institution_id)
    sequence = event.envelope.sequence
    if refused := domain.refusal(pseudonym, event.institution_id, sequence):
        return [await reject(event, tx, [problems.refused(refused)])]

    submission = _Submission(
        event.person_id, event.institution_id, event.profile, opened.contact, opened.survivor
    )
    said = await _apply(vault, submission, pseudonym, sequence, tx)
    return [*said, await accept(event, tx)]


async def forget_person(event: PersonWithdrawn, tx: Tx) -> Sequence[Event]:
    """Destroy a person's key and delete everything that is held of them.

    Emits:
        KeyDeleted, ContactDeleted, SurvivorDeleted, ProfileDeleted: tombstones on every topic.
        ReceiptAccepted: it is done.
        ReceiptRejected: the center has no such person, or the word is older than the last.
    """
    sequence = event.envelope.sequence
    pseudonym = await people.lock_pseudonym(tx, event.person_id)
    refused = domain.refusal(pseudonym, event.institution_id, sequence) if pseudonym else None
    if refused is Refused.STALE:
        return [await reject(event, tx, [problems.refused(refused)])]
    # Another center's person is told like one who does not exist: ids are not for trying out.
    if pseudonym is None or refused is not None:
        return [await reject(event, tx, [problems.refused(Refused.UNKNOWN)])]
    latest = domain.latest(sequence, pseudonym.sequence)
    if not await people.delete_person(tx, event.person_id, latest):
        return [await reject(event, tx, [problems.refused(Refused.UNKNOWN)])]

    return [
        KeyDeleted(person_id=event.person_id),
        ContactDeleted(person_id=event.person_id),
        SurvivorDeleted(person_id=event.person_id),
        ProfileDeleted(person_id=event.person_id),
        await accept(event, tx),
    ]


async def _admission_problems(event: PersonSubmitted, tx: Tx) -> list[Problem]:
    """Return what the registry has against it: the center, or a programme of a role."""
    mentors, mentees = event.profile.mentor_roles, event.profile.mentee_roles
    places = [
        *(f"profile.mentor_roles[{i}].programme_id" for i in range(len(mentors))),
        *(f"profile.mentee_roles[{i}].programme_id" for i in range(len(mentees))),
    ]
    ids = [*(role.programme_id for role in mentors), *(role.programme_id for role in mentees)]
    is_member, offers = await registry.get_admission(tx, event.institution_id, ids)
    if not is_member:
        return [problems.UNKNOWN_INSTITUTION]
    broken = domain.broken_role_rules(ids, offers, event.institution_id)
    if not broken:
        return []

    joinable = domain.joinable(await registry.list_offers(tx), event.institution_id)
    return [problems.role(places[i], rule, nearest(ids[i], joinable)) for i, rule in broken]


async def _apply(
    vault: Vault, submission: _Submission, pseudonym: Pseudonym, sequence: int | None, tx: Tx
) -> list[Event]:
    """Write what the submission changes, and return the states to say; none for no change."""
    person_id = submission.person_id
    held = await people.get_held(tx, person_id) if pseudonym.version else None
    key = (
        vault.unwrap(person_id, held.key_id, held.wrapped_key) if held else vault.new_key(person_id)
    )
    content = _content(submission, key)
    change = domain.change(pseudonym, held.content if held else None, content)
    latest = domain.latest(sequence, pseudonym.sequence)
    if change is None:
        if latest != pseudonym.sequence:
            await people.update_sequence(tx, person_id, latest)
        return []

    counted = Pseudonym(submission.institution_id, change.version, latest)
    await people.upsert_profile(tx, person_id, counted, submission.profile, content.profile)
    said: list[Event] = []
    if held is None:
        await people.insert_key(tx, person_id, key.key_id, vault.wrap(key))
        sealed = vault.sealed_keys(key)
        said.append(KeyChanged(person_id=person_id, key_id=key.key_id, keys=sealed))
    said += await _write_blocks(submission, key, content, change, tx)
    said.append(
        ProfileChanged(
            person_id=person_id,
            institution_id=submission.institution_id,
            version=change.version,
            profile=submission.profile,
            changed_at=tx.now,
        )
    )
    return said


async def _write_blocks(
    submission: _Submission, key: PersonKey, content: Content, change: Change, tx: Tx
) -> list[Event]:
    person_id, institution_id = submission.person_id, submission.institution_id
    said: list[Event] = []
    if change.contact:
        block = key.encrypt(CONTACT, _plaintext(submission.contact))
        await people.upsert_contact(tx, person_id, block, content.contact)
        said.append(ContactChanged(person_id=person_id, institution_id=institution_id, block=block))
    if change.survivor is SurvivorStep.REMOVED:
        await people.delete_survivor_block(tx, person_id)
        said.append(SurvivorDeleted(person_id=person_id))
    if change.survivor is SurvivorStep.SET and submission.survivor and content.survivor:
        block = key.encrypt(SURVIVOR, _plaintext(submission.survivor))
        await people.upsert_survivor_block(tx, person_id, block, content.survivor)
        said.append(
            SurvivorChanged(person_id=person_id, institution_id=institution_id, block=block)
        )
    return said


def _content(submission: _Submission, key: PersonKey) -> Content:
    survivor = submission.survivor
    return Content(
        profile=sha256(_essence(submission.profile)).digest(),
        contact=key.digest(CONTACT, _essence(submission.contact)),
        survivor=key.digest(SURVIVOR, _essence(survivor)) if survivor else None,
    )


def _plaintext(block: Body) -> bytes:
    return block.model_dump_json().encode()


def _essence(body: Body) -> bytes:
    """Return what is compared. Without defaults, a field that the contract gains changes no one."""
    return body.model_dump_json(exclude_defaults=True).encode()
