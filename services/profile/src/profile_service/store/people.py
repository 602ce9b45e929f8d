"""People, what is kept sealed of them, and their keys: SQL."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from oncomentor_contracts.profile import CodedProfile, EncryptedBlock
from profile_service.domain import Content, Pseudonym
from servicekit.tx import Tx


@dataclass(frozen=True, slots=True)
class Held:
    """What is stored of a person, as far as deciding about a new submission goes."""

    content: Content
    key_id: str
    wrapped_key: bytes


@dataclass(frozen=True, slots=True)
class Person:
    """A person as their own center may see them."""

    person_id: UUID
    institution_id: str
    version: int
    profile: CodedProfile
    changed_at: datetime


async def lock_new_pseudonym(tx: Tx, person_id: UUID, institution_id: str) -> Pseudonym:
    """Return the person id's row, made for this center where there was none, locked.

    Two that come first at once wait for each other on the key: the second sees what the first
    wrote.
    """
    row = await tx.conn.fetchrow(
        """
        INSERT INTO pseudonyms AS p (person_id, institution_id, version)
        VALUES ($1, $2, 0)
        ON CONFLICT (person_id) DO UPDATE SET person_id = p.person_id
        RETURNING institution_id, version, sequence
        """,
        person_id,
        institution_id,
    )
    assert row is not None  # noqa: S101 - the statement inserts or updates exactly one row
    return Pseudonym(row["institution_id"], row["version"], row["sequence"])


async def lock_pseudonym(tx: Tx, person_id: UUID) -> Pseudonym | None:
    """Return the person id's row, locked until `tx` ends; None where no center ever sent it."""
    row = await tx.conn.fetchrow(
        """
        SELECT institution_id, version, sequence FROM pseudonyms
         WHERE person_id = $1 FOR UPDATE
        """,
        person_id,
    )
    return Pseudonym(row["institution_id"], row["version"], row["sequence"]) if row else None


async def get_held(tx: Tx, person_id: UUID) -> Held | None:
    """Return what is stored of a person; None for one who was never there or was withdrawn."""
    row = await tx.conn.fetchrow(
        """
        SELECT people.digest AS profile, contacts.digest AS contact,
               survivor_blocks.digest AS survivor, person_keys.key_id, person_keys.wrapped
          FROM people
          JOIN contacts USING (person_id)
          JOIN person_keys USING (person_id)
          LEFT JOIN survivor_blocks USING (person_id)
         WHERE person_id = $1
        """,
        person_id,
    )
    if row is None:
        return None
    content = Content(row["profile"], row["contact"], row["survivor"])
    return Held(content, row["key_id"], row["wrapped"])


async def update_sequence(tx: Tx, person_id: UUID, sequence: int | None) -> None:
    """Note the greatest sequence a center sent for a person."""
    await tx.conn.execute(
        "UPDATE pseudonyms SET sequence = $2 WHERE person_id = $1", person_id, sequence
    )


async def upsert_profile(
    tx: Tx, person_id: UUID, pseudonym: Pseudonym, profile: CodedProfile, digest: bytes
) -> None:
    """Write a person's profile and the pseudonym's new counters."""
    await tx.conn.execute(
        """
        WITH counted AS (
            UPDATE pseudonyms SET version = $3, sequence = $4 WHERE person_id = $1
        )
        INSERT INTO people (person_id, institution_id, profile, digest, changed_at)
        VALUES ($1, $2, $5::text::jsonb, $6, $7)
        ON CONFLICT (person_id) DO UPDATE
           SET profile = excluded.profile, digest = excluded.digest,
               changed_at = excluded.changed_at
        """,
        person_id,
        pseudonym.institution_id,
        pseudonym.version,
        pseudonym.sequence,
        profile.model_dump_json(),
        digest,
        tx.now,
    )


async def insert_key(tx: Tx, person_id: UUID, key_id: str, wrapped: bytes) -> None:
    """Keep a new person's data key, wrapped."""
    await tx.conn.execute(
        "INSERT INTO person_keys (person_id, key_id, wrapped, made_at) VALUES ($1, $2, $3, $4)",
        person_id,
        key_id,
        wrapped,
        tx.now,
    )


async def upsert_contact(tx: Tx, person_id: UUID, block: EncryptedBlock, digest: bytes) -> None:
    """Write a person's encrypted contact."""
    await tx.conn.execute(
        """
        INSERT INTO contacts (person_id, key_id, nonce, ciphertext, digest, changed_at)
        VALUES ($1, $2, $3, $4, $5, $6)
        ON CONFLICT (person_id) DO UPDATE
           SET key_id = excluded.key_id, nonce = excluded.nonce,
               ciphertext = excluded.ciphertext, digest = excluded.digest,
               changed_at = excluded.changed_at
        """,
        *_block_row(tx, person_id, block, digest),
    )


async def upsert_survivor_block(
    tx: Tx, person_id: UUID, block: EncryptedBlock, digest: bytes
) -> None:
    """Write a survivor's encrypted block."""
    await tx.conn.execute(
        """
        INSERT INTO survivor_blocks (person_id, key_id, nonce, ciphertext, digest, changed_at)
        VALUES ($1, $2, $3, $4, $5, $6)
        ON CONFLICT (person_id) DO UPDATE
           SET key_id = excluded.key_id, nonce = excluded.nonce,
               ciphertext = excluded.ciphertext, digest = excluded.digest,
               changed_at = excluded.changed_at
        """,
        *_block_row(tx, person_id, block, digest),
    )


async def delete_survivor_block(tx: Tx, person_id: UUID) -> None:
    """Forget a survivor's block."""
    await tx.conn.execute("DELETE FROM survivor_blocks WHERE person_id = $1", person_id)


async def delete_person(tx: Tx, person_id: UUID, sequence: int | None) -> bool:
    """Forget a person and destroy their key; the pseudonym stays. False where no one was there."""
    deleted = await tx.conn.fetchval(
        """
        WITH blocks AS (DELETE FROM survivor_blocks WHERE person_id = $1),
             contact AS (DELETE FROM contacts WHERE person_id = $1),
             keys AS (DELETE FROM person_keys WHERE person_id = $1),
             counted AS (
                 UPDATE pseudonyms SET sequence = $2
                  WHERE person_id = $1
                    AND EXISTS (SELECT FROM people WHERE person_id = $1)
             )
        DELETE FROM people WHERE person_id = $1 RETURNING true
        """,
        person_id,
        sequence,
    )
    return deleted is not None


async def get_person(tx: Tx, person_id: UUID) -> Person | None:
    """Return a person, if row-level security lets the caller see them."""
    row = await tx.conn.fetchrow(
        """
        SELECT institution_id, version, profile, changed_at
          FROM people JOIN pseudonyms USING (person_id, institution_id)
         WHERE person_id = $1
        """,
        person_id,
    )
    if row is None:
        return None
    profile = CodedProfile.model_validate_json(row["profile"])
    return Person(person_id, row["institution_id"], row["version"], profile, row["changed_at"])


def _block_row(
    tx: Tx, person_id: UUID, block: EncryptedBlock, digest: bytes
) -> tuple[UUID, str, str, str, bytes, datetime]:
    return (person_id, block.key_id, block.nonce, block.ciphertext, digest, tx.now)
