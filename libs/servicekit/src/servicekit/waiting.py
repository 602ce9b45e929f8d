"""Work that cannot go on before a fact from another topic has come.

A handler or job that misses a fact never blocks its partition and is never retried for it: it
notes what it waits for and returns. The job it names runs when the fact has come, or at the
deadline, and looks again. A fact that is committed in the same moment as the note sees it not,
nor the note the fact; so the job also looks by itself, after ever longer whiles.
"""

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from typing import Any

from servicekit.tx import Tx

FIRST_LOOK = timedelta(seconds=2)
_SINCE = "waiting_since"


async def wait_on(
    tx: Tx,
    facts: Collection[str],
    kind: str,
    key: str,
    *,
    deadline: datetime,
    payload: Mapping[str, Any],
) -> None:
    """Have the job `kind` run with this key and payload when one of the facts comes.

    Without one it runs at the deadline at the latest. A fact is named `<topic>/<subject>`. From a
    job that waits on, hand its own payload on: since when it waits stands in it.
    """
    since = datetime.fromisoformat(payload[_SINCE]) if _SINCE in payload else tx.now
    await tx.conn.execute("DELETE FROM kit.waiting_on WHERE kind = $1 AND key = $2", kind, key)
    await tx.conn.execute(
        """
        INSERT INTO kit.waiting_on (fact, kind, key) SELECT fact, $2, $3 FROM unnest($1::text[])
            AS fact
        ON CONFLICT DO NOTHING
        """,
        sorted(facts),
        kind,
        key,
    )
    due_at = next_look(since, tx.now, deadline)
    await tx.schedule(kind, key, due_at, {**payload, _SINCE: since.isoformat()})


async def arrived(tx: Tx, facts: Collection[str]) -> int:
    """Release what waits on any of these facts, which the caller has just written; return how many.

    One statement for a whole slice; where nothing waits it finds that out in the index.
    """
    tag = await tx.conn.execute(
        """
        WITH released AS (
            DELETE FROM kit.waiting_on WHERE fact = ANY($1::text[]) RETURNING kind, key
        )
        UPDATE kit.timers AS t SET due_at = $2, version = t.version + 1
          FROM (SELECT DISTINCT kind, key FROM released) AS r
         WHERE t.kind = r.kind AND t.key = r.key
        """,
        list(facts),
        tx.now,
    )
    released = int(tag.rpartition(" ")[2])
    tx.wake = tx.wake or released > 0
    return released


def next_look(since: datetime, now: datetime, deadline: datetime) -> datetime:
    """Return when to look for a fact by oneself: after twice the time waited, or at the deadline."""
    return min(now + max(now - since, FIRST_LOOK), max(deadline, now))
