"""Keeping what messages are made of: centers, programmes, people, contacts and keys."""

from collections.abc import Sequence
from typing import Final

from notification_service.store import registry as store
from oncomentor_contracts.block import ContactChanged, ContactDeleted, KeyChanged, KeyDeleted
from oncomentor_contracts.event import Event
from oncomentor_contracts.institution import InstitutionChanged, InstitutionDeleted
from oncomentor_contracts.profile import CodedProfile, ProfileChanged, ProfileDeleted, Purpose
from oncomentor_contracts.programme import ProgrammeChanged, ProgrammeDeleted
from servicekit.tx import Tx

READER: Final = "notification"
PURPOSE: Final = "contact"


async def store_institution(event: InstitutionChanged, tx: Tx) -> Sequence[Event]:
    """Keep a center's name, zone and way of clearing."""
    await store.upsert_institution(
        tx,
        store.Center(
            event.institution_id, event.name, event.time_zone, event.policy.clearance.value
        ),
    )
    return []


async def forget_institution(event: InstitutionDeleted, tx: Tx) -> Sequence[Event]:
    """Forget a center."""
    await store.delete_institution(tx, event.institution_id)
    return []


async def store_programme(event: ProgrammeChanged, tx: Tx) -> Sequence[Event]:
    """Keep a programme's name and kind."""
    programme = store.Programme(event.programme_id, event.name, event.kind.value)
    await store.upsert_programme(tx, programme)
    return []


async def forget_programme(event: ProgrammeDeleted, tx: Tx) -> Sequence[Event]:
    """Forget a programme."""
    await store.delete_programme(tx, event.programme_id)
    return []


async def store_people(events: Sequence[ProfileChanged], tx: Tx) -> Sequence[Event]:
    """Keep where people belong and live, and whether they may be named."""
    people = {
        event.person_id: store.Person(
            event.person_id,
            event.institution_id,
            event.profile.time_zone,
            _may_be_named(event.profile),
        )
        for event in events  # in order: the last state of a person in the run stays
    }
    await store.upsert_people(tx, list(people.values()))
    return []


def _may_be_named(profile: CodedProfile) -> bool:
    return any(
        consent.purpose is Purpose.CONTACT_ON_MATCH and consent.withdrawn_at is None
        for consent in profile.consents
    )


async def forget_person(event: ProfileDeleted, tx: Tx) -> Sequence[Event]:
    """Forget where a person belongs."""
    await store.delete_person(tx, event.person_id)
    return []


async def store_contacts(events: Sequence[ContactChanged], tx: Tx) -> Sequence[Event]:
    """Keep contacts as they came: encrypted."""
    contacts = {
        event.person_id: (
            event.person_id,
            event.institution_id,
            event.block.key_id,
            event.block.nonce,
            event.block.ciphertext,
        )
        for event in events
    }
    await store.upsert_contacts(tx, list(contacts.values()))
    return []


async def forget_contact(event: ContactDeleted, tx: Tx) -> Sequence[Event]:
    """Forget how to reach a person; what waits to be sent to them finds that out by itself."""
    await store.delete_contact(tx, event.person_id)
    return []


async def store_keys(events: Sequence[KeyChanged], tx: Tx) -> Sequence[Event]:
    """Keep the keys that are sealed to us; a person who has none for us loses the old one."""
    latest = {event.person_id: event for event in events}
    ours = {
        person_id: (person_id, event.key_id, key.jwe)
        for person_id, event in latest.items()
        for key in event.keys
        if key.reader == READER and key.purpose == PURPOSE
    }
    await store.upsert_keys(tx, list(ours.values()))
    if gone := latest.keys() - ours.keys():
        await store.delete_keys(tx, gone)
    return []


async def forget_key(event: KeyDeleted, tx: Tx) -> Sequence[Event]:
    """Forget the key to a person's contact."""
    await store.delete_keys(tx, [event.person_id])
    return []
