"""What other services said of centers, programmes, people and links.

Bulk writers take each id at most once; the last word of a run is the caller's to choose.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from uuid import UUID

from notification_service.domain.view import Clearance
from servicekit.tx import Tx


@dataclass(frozen=True, slots=True)
class Center:
    """A member center."""

    institution_id: str
    name: str
    time_zone: str
    clearance: str


@dataclass(frozen=True, slots=True)
class Programme:
    """A programme; its kind is the contract's word."""

    programme_id: str
    name: str
    kind: str


@dataclass(frozen=True, slots=True)
class Person:
    """Where a person belongs and lives, and whether a matched half may learn their name."""

    person_id: UUID
    institution_id: str
    time_zone: str
    may_be_named: bool


@dataclass(frozen=True, slots=True)
class SealedContact:
    """A person's encrypted contact, with the key to it sealed to this service."""

    person_id: UUID
    key_id: str
    nonce: str
    ciphertext: str
    jwe: str


async def upsert_institution(tx: Tx, center: Center) -> None:
    """Write a center's current state."""
    await tx.conn.execute(
        """
        INSERT INTO institutions (institution_id, name, time_zone, clearance)
        VALUES ($1, $2, $3, $4)
        ON CONFLICT (institution_id) DO UPDATE
           SET name = excluded.name, time_zone = excluded.time_zone,
               clearance = excluded.clearance
        """,
        center.institution_id,
        center.name,
        center.time_zone,
        center.clearance,
    )


async def delete_institution(tx: Tx, institution_id: str) -> None:
    """Forget a center."""
    await tx.conn.execute("DELETE FROM institutions WHERE institution_id = $1", institution_id)


async def list_institutions(tx: Tx, institution_ids: Collection[str]) -> dict[str, Center]:
    """Return the known ones of these centers, by id."""
    rows = await tx.conn.fetch(
        """
        SELECT institution_id, name, time_zone, clearance
          FROM institutions
         WHERE institution_id = ANY($1::text[])
        """,
        list(institution_ids),
    )
    return {row["institution_id"]: Center(**dict(row)) for row in rows}


async def list_clearances(tx: Tx, institution_ids: Collection[str]) -> dict[str, Clearance]:
    """Return how the known ones of these centers clear pairs, leaving out words we don't know."""
    centers = await list_institutions(tx, institution_ids)
    words = set(Clearance)
    return {
        center.institution_id: Clearance(center.clearance)
        for center in centers.values()
        if center.clearance in words
    }


async def upsert_programme(tx: Tx, programme: Programme) -> None:
    """Write a programme's current state."""
    await tx.conn.execute(
        """
        INSERT INTO programmes (programme_id, name, kind) VALUES ($1, $2, $3)
        ON CONFLICT (programme_id) DO UPDATE SET name = excluded.name, kind = excluded.kind
        """,
        programme.programme_id,
        programme.name,
        programme.kind,
    )


async def delete_programme(tx: Tx, programme_id: str) -> None:
    """Forget a programme."""
    await tx.conn.execute("DELETE FROM programmes WHERE programme_id = $1", programme_id)


async def get_programme(tx: Tx, programme_id: str) -> Programme | None:
    """Return a programme; None where it has not been heard of."""
    row = await tx.conn.fetchrow(
        "SELECT programme_id, name, kind FROM programmes WHERE programme_id = $1", programme_id
    )
    return Programme(**dict(row)) if row else None


async def upsert_people(tx: Tx, people: Sequence[Person]) -> None:
    """Write people's current state."""
    await tx.conn.execute(
        """
        INSERT INTO people (person_id, institution_id, time_zone, may_be_named)
        SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[], $4::boolean[])
        ON CONFLICT (person_id) DO UPDATE
           SET institution_id = excluded.institution_id, time_zone = excluded.time_zone,
               may_be_named = excluded.may_be_named
        """,
        [person.person_id for person in people],
        [person.institution_id for person in people],
        [person.time_zone for person in people],
        [person.may_be_named for person in people],
    )


async def delete_person(tx: Tx, person_id: UUID) -> None:
    """Forget where a person belongs."""
    await tx.conn.execute("DELETE FROM people WHERE person_id = $1", person_id)


async def list_people(tx: Tx, person_ids: Collection[UUID]) -> dict[UUID, Person]:
    """Return the known ones of these people, by id."""
    rows = await tx.conn.fetch(
        """
        SELECT person_id, institution_id, time_zone, may_be_named
          FROM people
         WHERE person_id = ANY($1::uuid[])
        """,
        list(person_ids),
    )
    return {row["person_id"]: Person(**dict(row)) for row in rows}


async def upsert_contacts(tx: Tx, contacts: Sequence[tuple[UUID, str, str, str, str]]) -> None:
    """Write encrypted contacts: (person_id, institution_id, key_id, nonce, ciphertext)."""
    await tx.conn.execute(
        """
        INSERT INTO contacts (person_id, institution_id, key_id, nonce, ciphertext)
        SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[])
        ON CONFLICT (person_id) DO UPDATE
           SET institution_id = excluded.institution_id, key_id = excluded.key_id,
               nonce = excluded.nonce, ciphertext = excluded.ciphertext
        """,
        *([contact[column] for contact in contacts] for column in range(5)),
    )


async def delete_contact(tx: Tx, person_id: UUID) -> None:
    """Forget how to reach a person."""
    await tx.conn.execute("DELETE FROM contacts WHERE person_id = $1", person_id)


async def upsert_keys(tx: Tx, keys: Sequence[tuple[UUID, str, str]]) -> None:
    """Write the keys sealed to this service: (person_id, key_id, jwe)."""
    await tx.conn.execute(
        """
        INSERT INTO person_keys (person_id, key_id, jwe)
        SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[])
        ON CONFLICT (person_id) DO UPDATE SET key_id = excluded.key_id, jwe = excluded.jwe
        """,
        *([key[column] for key in keys] for column in range(3)),
    )


async def delete_keys(tx: Tx, person_ids: Collection[UUID]) -> None:
    """Forget the keys to these people's contacts."""
    await tx.conn.execute(
        "DELETE FROM person_keys WHERE person_id = ANY($1::uuid[])", list(person_ids)
    )


async def list_sealed_contacts(tx: Tx, person_ids: Collection[UUID]) -> dict[UUID, SealedContact]:
    """Return, by person, the contacts that have come together with their key."""
    rows = await tx.conn.fetch(
        """
        SELECT person_id, key_id, nonce, ciphertext, jwe
          FROM contacts
          JOIN person_keys USING (person_id, key_id)
         WHERE person_id = ANY($1::uuid[])
        """,
        list(person_ids),
    )
    return {row["person_id"]: SealedContact(**dict(row)) for row in rows}


async def upsert_link(tx: Tx, session_id: UUID, url: str) -> None:
    """Write where a session meets."""
    await tx.conn.execute(
        """
        INSERT INTO meeting_links (session_id, url) VALUES ($1, $2)
        ON CONFLICT (session_id) DO UPDATE SET url = excluded.url
        """,
        session_id,
        url,
    )


async def get_link(tx: Tx, session_id: UUID) -> str | None:
    """Return where a session meets; None where it has not been said yet."""
    url: str | None = await tx.conn.fetchval(
        "SELECT url FROM meeting_links WHERE session_id = $1", session_id
    )
    return url
