"""People's calendars: the lock on their time, what is taken of it, and what was said of it."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from datetime import date, datetime
from uuid import UUID

from scheduling_service.domain.pledge import Availability
from scheduling_service.domain.span import Span
from scheduling_service.store.projection import hours_from_json, hours_to_json
from servicekit.tx import Tx


async def lock_calendars(tx: Tx, person_ids: Collection[UUID]) -> None:
    """Lock people's calendars until `tx` ends; nobody else draws on their time meanwhile.

    Rows are made and locked in id order, so that bookings that share a person wait for each
    other instead of deadlocking. Take it before any other lock, and only once per transaction.
    Handlers of events never wait for it.
    """
    ordered = sorted(set(person_ids))
    await tx.conn.execute(
        """
        INSERT INTO calendars (person_id)
        SELECT * FROM unnest($1::uuid[]) AS p (person_id) ORDER BY person_id
        ON CONFLICT (person_id) DO NOTHING
        """,
        ordered,
    )
    await tx.conn.execute(
        "SELECT FROM calendars WHERE person_id = ANY($1) ORDER BY person_id FOR UPDATE", ordered
    )


async def list_taken(
    tx: Tx, person_ids: Collection[UUID], begin: datetime, end: datetime
) -> Mapping[UUID, Sequence[Span]]:
    """Return what sessions take of people's time within a range, buffers included, in order."""
    rows = await tx.conn.fetch(
        """
        SELECT person_id, extract(epoch FROM lower(occupied))::bigint AS begins,
               extract(epoch FROM upper(occupied))::bigint AS ends
          FROM session_attendees
         WHERE person_id = ANY($1) AND occupied && tstzrange($2, $3)
           AND status IN ('held', 'booked')
         ORDER BY person_id, occupied
        """,
        list(person_ids),
        begin,
        end,
    )
    taken: dict[UUID, list[Span]] = {person_id: [] for person_id in person_ids}
    for row in rows:
        taken[row["person_id"]].append((row["begins"], row["ends"]))
    return taken


async def list_minutes_drawn(
    tx: Tx, person_ids: Collection[UUID]
) -> Mapping[UUID, Mapping[tuple[str, date], int]]:
    """Return what sessions drew from people's pledges, by programme and month."""
    rows = await tx.conn.fetch(
        """
        SELECT person_id, programme_id, month_on, minutes_drawn
          FROM protected_months
         WHERE person_id = ANY($1)
        """,
        list(person_ids),
    )
    drawn: dict[UUID, dict[tuple[str, date], int]] = defaultdict(dict)
    for row in rows:
        drawn[row["person_id"]][row["programme_id"], row["month_on"]] = row["minutes_drawn"]
    return drawn


async def list_availabilities(tx: Tx, person_ids: Collection[UUID]) -> dict[UUID, Availability]:
    """Return the availability said last of those of whom one was said."""
    rows = await tx.conn.fetch(
        """
        SELECT person_id, institution_id, time_zone, weekly_hours, minutes_left_month
          FROM calendars
         WHERE person_id = ANY($1) AND said_at IS NOT NULL
        """,
        list(person_ids),
    )
    return {
        row["person_id"]: Availability(
            row["person_id"],
            row["institution_id"],
            row["time_zone"],
            hours_from_json(row["weekly_hours"]),
            row["minutes_left_month"],
        )
        for row in rows
    }


async def update_availabilities(tx: Tx, said: Sequence[Availability]) -> None:
    """Remember what is being said; the calendars' rows must be locked."""
    await tx.conn.execute(
        """
        UPDATE calendars AS c
           SET institution_id = s.institution_id, time_zone = s.time_zone,
               weekly_hours = s.weekly_hours::jsonb, minutes_left_month = s.minutes_left_month,
               said_at = $6
          FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::integer[])
               AS s (person_id, institution_id, time_zone, weekly_hours, minutes_left_month)
         WHERE c.person_id = s.person_id
        """,
        [availability.person_id for availability in said],
        [availability.institution_id for availability in said],
        [availability.time_zone for availability in said],
        [hours_to_json(availability.hours) for availability in said],
        [availability.minutes_left_month for availability in said],
        tx.now,
    )


async def update_availabilities_gone(tx: Tx, person_ids: Collection[UUID]) -> None:
    """Remember that people's availability is being taken back; the rows stay as locks."""
    await tx.conn.execute(
        """
        UPDATE calendars
           SET institution_id = NULL, time_zone = NULL, weekly_hours = NULL,
               minutes_left_month = NULL, said_at = NULL
         WHERE person_id = ANY($1)
        """,
        list(person_ids),
    )
