"""Institutions and programmes as they were heard."""

from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING

from matching_service.domain.pool import Center, Programme
from matching_service.domain.score import LEAST_WEIGHT
from oncomentor_contracts.institution import InstitutionChanged, InstitutionState
from oncomentor_contracts.programme import ProgrammeChanged
from servicekit.tx import Tx

if TYPE_CHECKING:
    import asyncpg


async def upsert_institution(tx: Tx, event: InstitutionChanged) -> None:
    """Keep an institution's state, unless a later one is kept already."""
    policy = event.policy
    days = policy.max_profile_age_days
    await tx.conn.execute(
        """
        INSERT INTO institutions AS i
               (institution_id, sequence, jurisdiction, active, cross_institution,
                partners_allowed, partners_refused, jurisdictions_allowed, clearance,
                clearance_window, survivor_lane, max_profile_age)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
        ON CONFLICT (institution_id) DO UPDATE
           SET sequence = excluded.sequence, jurisdiction = excluded.jurisdiction,
               active = excluded.active, cross_institution = excluded.cross_institution,
               partners_allowed = excluded.partners_allowed,
               partners_refused = excluded.partners_refused,
               jurisdictions_allowed = excluded.jurisdictions_allowed,
               clearance = excluded.clearance, clearance_window = excluded.clearance_window,
               survivor_lane = excluded.survivor_lane, max_profile_age = excluded.max_profile_age
         WHERE i.sequence < excluded.sequence
        """,
        event.institution_id,
        event.envelope.sequence,
        event.jurisdiction,
        event.state is InstitutionState.ACTIVE,
        policy.cross_institution.value,
        policy.partners_allowed,
        policy.partners_refused,
        policy.jurisdictions_allowed,
        policy.clearance.value,
        timedelta(hours=policy.clearance_window_hours),
        policy.survivor_lane,
        None if days is None else timedelta(days=days),
    )


async def delete_institution(tx: Tx, institution_id: str) -> None:
    """Forget an institution; its people then belong to none that takes part."""
    await tx.conn.execute("DELETE FROM institutions WHERE institution_id = $1", institution_id)


async def upsert_programme(tx: Tx, event: ProgrammeChanged) -> None:
    """Keep a programme's state, unless a later one is kept already."""
    await tx.conn.execute(
        """
        INSERT INTO programmes AS p
               (programme_id, sequence, kind, mode, active, participants, session_minutes,
                mentor_capacity, protected_minutes_month, required_training, response_window,
                min_years_past_treatment, criteria, weights, criteria_version)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)
        ON CONFLICT (programme_id) DO UPDATE
           SET sequence = excluded.sequence, kind = excluded.kind, mode = excluded.mode,
               active = excluded.active, participants = excluded.participants,
               session_minutes = excluded.session_minutes,
               mentor_capacity = excluded.mentor_capacity,
               protected_minutes_month = excluded.protected_minutes_month,
               required_training = excluded.required_training,
               response_window = excluded.response_window,
               min_years_past_treatment = excluded.min_years_past_treatment,
               criteria = excluded.criteria, weights = excluded.weights,
               criteria_version = excluded.criteria_version
         WHERE p.sequence < excluded.sequence
        """,
        event.programme_id,
        event.envelope.sequence,
        event.kind.value,
        event.mode.value,
        event.active,
        event.participants,
        event.session_minutes,
        event.mentor_capacity,
        event.protected_minutes_month,
        event.required_training,
        timedelta(hours=event.response_window_hours),
        event.min_years_past_treatment,
        [weight.criterion.value for weight in event.weights],
        [weight.weight for weight in event.weights],
        event.criteria_version,
    )


async def delete_programme(tx: Tx, programme_id: str) -> None:
    """Forget a programme; nothing is proposed in it any more."""
    await tx.conn.execute("DELETE FROM programmes WHERE programme_id = $1", programme_id)


async def get_programme(tx: Tx, programme_id: str) -> Programme | None:
    """Return a programme, kept from changing until `tx` ends; None where there is none.

    Whoever judges by it shares the lock. A change of it waits for them, and the recheck that it
    sets off then sees what they proposed.
    """
    row = await tx.conn.fetchrow(
        """
        SELECT programme_id, kind, mode, active, participants, session_minutes, mentor_capacity,
               protected_minutes_month, required_training, response_window,
               min_years_past_treatment, criteria, weights, criteria_version
          FROM programmes
         WHERE programme_id = $1
           FOR SHARE
        """,
        programme_id,
    )
    return None if row is None else _programme(row)


async def list_centers(tx: Tx, *, kept: Collection[str] = ()) -> Mapping[str, Center]:
    """Return every center by id; those in `kept` cannot change until `tx` ends (as programmes)."""
    if kept:
        await tx.conn.fetch(
            """
            SELECT 1 FROM institutions
             WHERE institution_id = ANY($1::text[])
             ORDER BY institution_id
               FOR SHARE
            """,
            kept,
        )
    rows = await tx.conn.fetch(
        """
        SELECT institution_id, jurisdiction, active, cross_institution, partners_allowed,
               partners_refused, jurisdictions_allowed, clearance, clearance_window,
               survivor_lane, max_profile_age
          FROM institutions
        """
    )
    return {row["institution_id"]: _center(row) for row in rows}


async def list_programmes_of(tx: Tx, institution_id: str) -> list[str]:
    """Return the programmes that an institution's people take part in."""
    rows = await tx.conn.fetch(
        "SELECT DISTINCT programme_id FROM roles WHERE institution_id = $1", institution_id
    )
    return [row["programme_id"] for row in rows]


def _programme(row: "asyncpg.Record") -> Programme:
    return Programme(
        programme_id=row["programme_id"],
        kind=row["kind"],
        mode=row["mode"],
        active=row["active"],
        participants=_set(row["participants"]),
        session_minutes=row["session_minutes"],
        mentor_capacity=row["mentor_capacity"],
        protected_minutes_month=row["protected_minutes_month"],
        required_training=tuple(row["required_training"]),
        response_window=row["response_window"],
        min_years_past_treatment=row["min_years_past_treatment"],
        weights=_weights(row["criteria"], row["weights"]),
        criteria_version=row["criteria_version"],
    )


def _weights(criteria: Sequence[str], weights: Sequence[float]) -> tuple[tuple[str, float], ...]:
    """Return each criterion once, with what it weighs together; too little to be added is 0.

    The registry refuses both today, which the contract allows: a programme that it took in
    before goes on.
    """
    total: dict[str, float] = {}
    for name, weight in zip(criteria, weights, strict=True):
        total[name] = total.get(name, 0.0) + weight
    return tuple((name, w if w >= LEAST_WEIGHT else 0.0) for name, w in total.items())


def _center(row: "asyncpg.Record") -> Center:
    return Center(
        institution_id=row["institution_id"],
        jurisdiction=row["jurisdiction"],
        active=row["active"],
        cross_institution=row["cross_institution"],
        partners_allowed=_set(row["partners_allowed"]),
        partners_refused=frozenset(row["partners_refused"]),
        jurisdictions_allowed=_set(row["jurisdictions_allowed"]),
        clearance=row["clearance"],
        clearance_window=row["clearance_window"],
        survivor_lane=row["survivor_lane"],
        max_profile_age=row["max_profile_age"],
    )


def _set(values: list[str] | None) -> frozenset[str] | None:
    return None if values is None else frozenset(values)
