"""People, their roles and their availability as they were heard."""

import json
from collections.abc import Collection, Mapping, Sequence
from datetime import time
from uuid import UUID

from oncomentor_contracts.profile import (
    CodedProfile,
    PersonState,
    ProfileChanged,
    WeeklyHours,
)
from oncomentor_contracts.scheduling import AvailabilityChanged
from servicekit.tx import Tx

_DAY_ENDS = 24 * 60


async def list_versions(tx: Tx, person_ids: Collection[UUID]) -> Mapping[UUID, int]:
    """Return the version kept of each of these people; who is unknown is not there."""
    rows = await tx.conn.fetch(
        "SELECT person_id, version FROM people WHERE person_id = ANY($1::uuid[])", person_ids
    )
    return {row["person_id"]: row["version"] for row in rows}


async def upsert_people(tx: Tx, events: Sequence[ProfileChanged]) -> None:
    """Keep these profiles, each unless a later one is kept; no two are of one person.

    Rows are taken in the order given; give them by person id, so that slices of different
    partitions cannot wait for each other in a ring.
    """
    await tx.conn.executemany(
        """
        INSERT INTO people AS p
               (person_id, institution_id, version, changed_at, active, time_zone, weekly_hours,
                languages, career_stage, modalities, communication_styles, topics, methods,
                unit_key, lab_key, reporting_line_keys, evaluated_unit_keys, blocked_person_ids,
                identity_tokens, conflict_tokens, training, consents)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18,
                $19, $20, $21, $22)
        ON CONFLICT (person_id) DO UPDATE
           SET institution_id = excluded.institution_id, version = excluded.version,
               changed_at = excluded.changed_at, active = excluded.active,
               time_zone = excluded.time_zone, weekly_hours = excluded.weekly_hours,
               languages = excluded.languages, career_stage = excluded.career_stage,
               modalities = excluded.modalities,
               communication_styles = excluded.communication_styles, topics = excluded.topics,
               methods = excluded.methods, unit_key = excluded.unit_key,
               lab_key = excluded.lab_key, reporting_line_keys = excluded.reporting_line_keys,
               evaluated_unit_keys = excluded.evaluated_unit_keys,
               blocked_person_ids = excluded.blocked_person_ids,
               identity_tokens = excluded.identity_tokens,
               conflict_tokens = excluded.conflict_tokens, training = excluded.training,
               consents = excluded.consents
         WHERE p.version <= excluded.version
        """,
        [_person_row(event) for event in events],
    )


def _person_row(event: ProfileChanged) -> tuple[object, ...]:
    profile = event.profile
    return (
        event.person_id,
        event.institution_id,
        event.version,
        event.changed_at,
        profile.state is PersonState.ACTIVE,
        profile.time_zone,
        _hours(profile.weekly_hours),
        profile.languages,
        profile.career_stage,
        [modality.value for modality in profile.modalities],
        profile.communication_styles,
        profile.topics,
        profile.methods,
        profile.unit_key,
        profile.lab_key,
        profile.reporting_line_keys,
        profile.evaluated_unit_keys,
        profile.blocked_person_ids,
        profile.identity_tokens,
        profile.conflict_tokens,
        _training(profile),
        sorted(_consents(profile)),
    )


def _hours(weekly_hours: Sequence[WeeklyHours]) -> str:
    """Return hours as JSON in whole minutes, never more than was said."""
    return json.dumps(
        [
            (hours.weekday, _minute(hours.starts, round_up=True), _end_minute(hours.ends))
            for hours in weekly_hours
        ]
    )


def _end_minute(local: time) -> int:
    return _DAY_ENDS if local.replace(tzinfo=None) == time() else _minute(local)


def _minute(local: time, *, round_up: bool = False) -> int:
    seconds = bool(local.second or local.microsecond)
    return local.hour * 60 + local.minute + (1 if seconds and round_up else 0)


def _training(profile: CodedProfile) -> str:
    return json.dumps(
        [
            (
                record.code,
                record.completed_on.isoformat(),
                record.valid_until_on.isoformat() if record.valid_until_on else None,
            )
            for record in profile.training
        ]
    )


def _consents(profile: CodedProfile) -> set[str]:
    return {c.purpose.value for c in profile.consents if c.withdrawn_at is None}


async def replace_roles(tx: Tx, events: Sequence[ProfileChanged]) -> None:
    """Keep exactly the roles that these profiles name, and a place for each.

    A place that is there already is left alone, and not waited for.
    """
    rows = sorted(row for event in events for row in _role_rows(event))
    await tx.conn.execute(
        """
        DELETE FROM roles
         WHERE person_id = ANY($1::uuid[])
           AND (programme_id, side, person_id) NOT IN (
               SELECT * FROM unnest($2::text[], $3::text[], $4::uuid[]))
        """,
        [event.person_id for event in events],
        [row[0] for row in rows],
        [row[1] for row in rows],
        [row[2] for row in rows],
    )
    await tx.conn.executemany(
        """
        INSERT INTO roles
               (programme_id, side, person_id, institution_id, codes, capacity,
                protected_minutes_month, urgency, since_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
        ON CONFLICT (programme_id, side, person_id) DO UPDATE
           SET institution_id = excluded.institution_id, codes = excluded.codes,
               capacity = excluded.capacity, urgency = excluded.urgency,
               protected_minutes_month = excluded.protected_minutes_month
        """,
        [(*row, tx.now) for row in rows],
    )
    await tx.conn.executemany(
        """
        INSERT INTO places (programme_id, side, person_id) VALUES ($1, $2, $3)
        ON CONFLICT DO NOTHING
        """,
        [row[:3] for row in rows],
    )


def _role_rows(
    event: ProfileChanged,
) -> list[tuple[str, str, UUID, str, tuple[str, ...], int | None, int | None, str | None]]:
    who = (event.person_id, event.institution_id)
    mentors = {
        role.programme_id: (
            role.programme_id,
            "mentor",
            *who,
            role.offers,
            role.capacity,
            role.protected_minutes_month,
            None,
        )
        for role in event.profile.mentor_roles
    }
    mentees = {
        role.programme_id: (
            role.programme_id,
            "mentee",
            *who,
            role.goals,
            role.wanted_mentors,
            None,
            role.urgency.value,
        )
        for role in event.profile.mentee_roles
    }
    return [*mentors.values(), *mentees.values()]


async def delete_person(tx: Tx, person_id: UUID) -> None:
    """Forget a person and the roles; the places go when the open matches are dealt with."""
    await tx.conn.execute("DELETE FROM people WHERE person_id = $1", person_id)


async def upsert_availabilities(tx: Tx, events: Sequence[AvailabilityChanged]) -> None:
    """Keep these people's hours as scheduling says them, each unless later ones are kept."""
    await tx.conn.executemany(
        """
        INSERT INTO availabilities AS a
               (person_id, institution_id, sequence, time_zone, weekly_hours, minutes_left_month)
        VALUES ($1, $2, $3, $4, $5, $6)
        ON CONFLICT (person_id) DO UPDATE
           SET institution_id = excluded.institution_id, sequence = excluded.sequence,
               time_zone = excluded.time_zone, weekly_hours = excluded.weekly_hours,
               minutes_left_month = excluded.minutes_left_month
         WHERE a.sequence < excluded.sequence
        """,
        [
            (
                event.person_id,
                event.institution_id,
                event.envelope.sequence,
                event.time_zone,
                _hours(event.weekly_hours),
                event.minutes_left_month,
            )
            for event in events
        ],
    )


async def delete_availability(tx: Tx, person_id: UUID) -> None:
    """Forget what scheduling said of a person; the profile's hours count again."""
    await tx.conn.execute("DELETE FROM availabilities WHERE person_id = $1", person_id)


async def list_roles(
    tx: Tx, person_ids: Collection[UUID], *, kind: str | None = None
) -> list[tuple[UUID, str, str]]:
    """Return (person, side, programme) of these people, of programmes of one kind if given."""
    rows = await tx.conn.fetch(
        """
        SELECT r.person_id, r.side, r.programme_id
          FROM roles AS r
          LEFT JOIN programmes AS pr USING (programme_id)
         WHERE r.person_id = ANY($1::uuid[]) AND ($2::text IS NULL OR pr.kind = $2)
         ORDER BY r.person_id, r.side, r.programme_id
        """,
        person_ids,
        kind,
    )
    return [(row["person_id"], row["side"], row["programme_id"]) for row in rows]
