"""The mentors of each open programme in memory, as the engine wants them: who fits a mentee best.

A pool is brought up to date at each look by reading who has changed since the last one, in the
transaction that decides. It is built anew on another day (the week of common hours moves on), for
other criteria or policies of centers, and where somebody does not fit in as it is laid out. Several
replicas have each their own: whatever they choose is judged again under the locks.
"""

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from uuid import UUID

from matching_service.domain.pool import Context, Mentee, Mentor, Programme
from matching_service.engine.columns import OutgrownError
from matching_service.engine.pool import Pool
from matching_service.store import changes, pool
from servicekit.tx import Tx


@dataclass(frozen=True, slots=True)
class _Basis:
    """What a pool was built for, whoever is in it."""

    programme: Programme
    centers: pool.Centers
    today: date


@dataclass(frozen=True, slots=True)
class _Kept:
    pool: Pool
    basis: _Basis
    since: int
    """What the next look is to be since, see `changes.list_changed`."""


class Pools:
    """The pools of one process."""

    def __init__(self) -> None:
        """Begin with none; each is built when it is first asked for."""
        self._kept: dict[str, _Kept] = {}
        self._turns: Mapping[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def best_mentors(
        self, tx: Tx, context: Context, centers: pool.Centers, mentee: Mentee, count: int
    ) -> list[UUID]:
        """Return who fits a mentee best of all a programme's eligible mentors, the best first.

        Exact as of the last look of `tx`, but for profiles that grew too old for their center
        today. The work is done beside the event loop.
        """
        programme_id = context.programme.programme_id
        basis = _Basis(context.programme, centers, context.today)
        async with self._turns[programme_id]:
            # Whatever goes wrong half-way, nothing half done is kept.
            kept = self._kept.pop(programme_id, None)
            if kept is not None and kept.basis == basis:
                changed, since = await changes.list_changed(tx, kept.since)
                mentors = await pool.list_mentors(tx, programme_id, centers, only=changed)
                with suppress(OutgrownError):
                    best = await asyncio.to_thread(
                        _look, kept.pool, changed, mentors, mentee, count
                    )
                    self._kept[programme_id] = _Kept(kept.pool, basis, since)
                    return best
            _, since = await changes.list_changed(tx, None)
            mentors = await pool.list_mentors(tx, programme_id, centers)
            built = await asyncio.to_thread(Pool, context, [mentee], mentors)
            best = await asyncio.to_thread(best_of, built, mentee, count)
            self._kept = {k: v for k, v in self._kept.items() if v.basis.today == context.today}
            self._kept[programme_id] = _Kept(built, basis, since)
            return best


def best_of(there: Pool, mentee: Mentee, count: int) -> list[UUID]:
    """Return who of a pool's mentors fits a mentee best, the best first.

    Raises:
        OutgrownError: the mentee does not fit into the pool as it is laid out.
    """
    person_id = mentee.person.person_id
    there.put_mentee(mentee)
    try:
        (best,) = there.best_mentors([person_id], count)
    finally:
        there.drop_mentee(person_id)
    return [candidate.person_id for candidate in best]


def _look(
    there: Pool, changed: Sequence[UUID], mentors: Iterable[Mentor], mentee: Mentee, count: int
) -> list[UUID]:
    """Take in who has changed, forget who is not a mentor any more, and return the best.

    Raises:
        OutgrownError: somebody does not fit into the pool as it is laid out.
    """
    now = {mentor.person.person_id: mentor for mentor in mentors}
    for person_id in changed:
        if person_id in now:
            there.put_mentor(now[person_id])
        elif person_id in there.mentor_ids:
            there.drop_mentor(person_id)
    return best_of(there, mentee, count)
