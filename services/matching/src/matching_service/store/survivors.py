"""Survivor blocks: kept as ciphertext with their sealed keys, opened in memory when judging."""

from collections.abc import Iterable, Mapping
from typing import Final
from uuid import UUID

import pydantic

from matching_service.domain.pool import Survivor
from oncomentor_contracts.block import (
    EncryptedBlock,
    KeyChanged,
    ReadinessState,
    SurvivorBlock,
    SurvivorChanged,
)
from servicekit.security import Key, UnsealableError, decrypt_block, unseal
from servicekit.tx import Tx

READER: Final = "matching"
_PURPOSE: Final = "survivor"


class BlockReader:
    """Opens survivor blocks with this service's private key; keeps nothing of what it read."""

    def __init__(self, private_key: Key) -> None:
        """Take the key that `profile.key` seals for this service."""
        self._private_key = private_key

    def open(self, person_id: UUID, block: EncryptedBlock, sealed_key: str) -> Survivor | None:
        """Return what the block says; None where it cannot be read with this key."""
        try:
            key = unseal(self._private_key, sealed_key)
            plain = decrypt_block(key, _PURPOSE, person_id, block)
            return _survivor(SurvivorBlock.model_validate_json(plain))
        # A ValidationError quotes the plaintext: it must not reach a log.
        except (UnsealableError, pydantic.ValidationError):
            return None


def _survivor(block: SurvivorBlock) -> Survivor:
    return Survivor(
        cancer_type=block.cancer_type,
        treatments=frozenset(block.treatments),
        age_band=block.age_band_at_diagnosis,
        years_since_treatment=block.years_since_treatment,
        family_situation=frozenset(block.family_situation),
        concerns=frozenset(block.concerns),
        ready=block.readiness is ReadinessState.READY,
    )


async def upsert_block(tx: Tx, event: SurvivorChanged) -> None:
    """Keep a person's block as it came, unless a later one is kept."""
    await tx.conn.execute(
        """
        INSERT INTO survivor_blocks AS b
               (person_id, institution_id, sequence, key_id, nonce, ciphertext)
        VALUES ($1, $2, $3, $4, $5, $6)
        ON CONFLICT (person_id) DO UPDATE
           SET institution_id = excluded.institution_id, sequence = excluded.sequence,
               key_id = excluded.key_id, nonce = excluded.nonce, ciphertext = excluded.ciphertext
         WHERE b.sequence < excluded.sequence
        """,
        event.person_id,
        event.institution_id,
        event.envelope.sequence,
        event.block.key_id,
        event.block.nonce,
        event.block.ciphertext,
    )


async def delete_block(tx: Tx, person_id: UUID) -> None:
    """Forget a person's block."""
    await tx.conn.execute("DELETE FROM survivor_blocks WHERE person_id = $1", person_id)


async def upsert_key(tx: Tx, event: KeyChanged) -> None:
    """Keep the sealed key that opens a person's block, or forget it where none is for us."""
    ours = [k.jwe for k in event.keys if (k.reader, k.purpose) == (READER, _PURPOSE)]
    if not ours:
        await delete_key(tx, event.person_id)
        return
    await tx.conn.execute(
        """
        INSERT INTO survivor_keys AS k (person_id, sequence, key_id, sealed_key)
        VALUES ($1, $2, $3, $4)
        ON CONFLICT (person_id) DO UPDATE
           SET sequence = excluded.sequence, key_id = excluded.key_id,
               sealed_key = excluded.sealed_key
         WHERE k.sequence < excluded.sequence
        """,
        event.person_id,
        event.envelope.sequence,
        event.key_id,
        ours[0],
    )


async def delete_key(tx: Tx, person_id: UUID) -> None:
    """Forget a person's key: the block cannot be read from here on."""
    await tx.conn.execute("DELETE FROM survivor_keys WHERE person_id = $1", person_id)


async def read_survivors(
    tx: Tx, reader: BlockReader, person_ids: Iterable[UUID]
) -> Mapping[UUID, Survivor | None]:
    """Return what these people's blocks say, None for one that cannot be read now.

    Who has no block is not there. A key of another id than the block's cannot open it: one of
    the two is still on its way.
    """
    rows = await tx.conn.fetch(
        """
        SELECT b.person_id, b.key_id, b.nonce, b.ciphertext, k.sealed_key
          FROM survivor_blocks AS b
          LEFT JOIN survivor_keys AS k ON k.person_id = b.person_id AND k.key_id = b.key_id
         WHERE b.person_id = ANY($1::uuid[])
        """,
        list(person_ids),
    )
    found: dict[UUID, Survivor | None] = {}
    for row in rows:
        block = EncryptedBlock(
            key_id=row["key_id"], nonce=row["nonce"], ciphertext=row["ciphertext"]
        )
        sealed_key = row["sealed_key"]
        found[row["person_id"]] = (
            None if sealed_key is None else reader.open(row["person_id"], block, sealed_key)
        )
    return found
