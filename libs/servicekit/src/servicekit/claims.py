"""A lease on a timer: how it is taken, whose it is, and how the row goes with the work."""

import json
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

from servicekit.saying.outbox import Cause
from servicekit.subscription import Timer
from servicekit.tx import Tx

if TYPE_CHECKING:
    import asyncpg

# By ctid: a join of timers with timers makes the planner read all that are due. A row that was
# changed in between has another ctid and is claimed the next time.
CLAIM = """
UPDATE kit.timers AS t SET claimed_until = clock_timestamp() + known.lease
  FROM unnest($1::text[], $2::interval[]) AS known (kind, lease)
 WHERE t.kind = known.kind
   AND t.ctid = ANY (ARRAY(SELECT due.ctid
                             FROM unnest($1::text[], $3::int[]) AS wanted (kind, free),
                                  LATERAL (SELECT ctid FROM kit.timers
                                            WHERE kind = wanted.kind AND due_at <= $4
                                              AND (claimed_until IS NULL
                                                   OR claimed_until <= clock_timestamp())
                                            ORDER BY due_at
                                            LIMIT wanted.free
                                              FOR UPDATE SKIP LOCKED) AS due))
RETURNING t.*
"""
UPCOMING = """
SELECT min(next.due_at)
  FROM unnest($1::text[]) AS known (kind),
       LATERAL (SELECT due_at FROM kit.timers
                 WHERE kind = known.kind
                   AND (claimed_until IS NULL OR claimed_until <= clock_timestamp())
                 ORDER BY due_at
                 LIMIT 1) AS next
"""


class TakenError(Exception):
    """Somebody else has this timer now; what we did for it is rolled back."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A timer and the lease we hold on it; the lease's end is the proof that it is ours."""

    timer: Timer
    until: datetime

    def traced(self, traceparent: str | None) -> "Claim":
        """Return the same with a timer whose events follow from this."""
        cause = replace(self.timer.cause, traceparent=traceparent)
        return replace(self, timer=replace(self.timer, cause=cause))


def claim_of(row: "asyncpg.Record") -> Claim:
    """Return the claim that a row of CLAIM is."""
    timer = Timer(
        kind=row["kind"],
        key=row["key"],
        payload=json.loads(row["payload"]),
        attempts=row["attempts"],
        version=row["version"],
        cause=Cause(row["traceparent"], row["correlationid"], row["causationid"]),
    )
    return Claim(timer, row["claimed_until"])


async def finish(tx: Tx, claim: Claim) -> None:
    """Take the timer away; one that was set again meanwhile is let go, and fires again.

    Raises:
        TakenError: our lease ran out and somebody else took it up, or it was cancelled.
    """
    timer = claim.timer
    this = timer.kind, timer.key
    if this in tx.cancelled:
        if tx.cancelled[this] != claim.until:
            raise TakenError
        return
    row = await tx.conn.fetchrow(
        "SELECT version, claimed_until FROM kit.timers WHERE kind = $1 AND key = $2 FOR UPDATE",
        timer.kind,
        timer.key,
    )
    if row is None or row["claimed_until"] != claim.until:
        raise TakenError
    if row["version"] == timer.version:
        await tx.cancel(timer.kind, timer.key)
        return
    await tx.conn.execute(
        "UPDATE kit.timers SET claimed_until = NULL WHERE kind = $1 AND key = $2",
        timer.kind,
        timer.key,
    )
