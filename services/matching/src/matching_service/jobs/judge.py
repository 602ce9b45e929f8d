"""Judging by what is kept: loading people with what a judgement needs, survivors included."""

import asyncio
from collections.abc import AsyncIterator, Collection, Sequence
from dataclasses import dataclass, field, replace
from uuid import UUID

from matching_service.domain.pool import Context, Mentee, Mentor, Pair, Person
from matching_service.domain.rules.book import worth_opening
from matching_service.domain.taxonomy import Taxonomy
from matching_service.engine.pool import Pool
from matching_service.jobs.pools import Pools, best_of
from matching_service.store import pool, registry, survivors
from servicekit.tx import Tx

_AT_ONCE = 8
"""Candidates that are asked for at first: the best one nearly always holds."""


@dataclass(frozen=True, slots=True)
class Judge:
    """What the jobs need beside the database: the vocabularies and the key to survivor blocks."""

    taxonomy: Taxonomy
    reader: survivors.BlockReader
    pools: Pools = field(default_factory=Pools)

    async def context(self, tx: Tx, programme_id: str) -> Context | None:
        """Return what a judgement in a programme depends on; None where there is none such.

        The programme cannot change until `tx` ends.
        """
        programme = await registry.get_programme(tx, programme_id)
        return None if programme is None else Context(programme, tx.now, self.taxonomy)

    async def candidates(self, tx: Tx, context: Context, mentee_id: UUID) -> AsyncIterator[UUID]:
        """Yield who may be a mentee's mentor, the best first; nobody for no mentee of the programme.

        They are as of now: whoever decides judges the pair again. In the survivor lane no block
        stays in memory; blocks are opened only of people who break no other rule.
        """
        programme_id = context.programme.programme_id
        centers = await registry.list_centers(tx)
        mentee = await pool.get_mentee(tx, programme_id, mentee_id, centers)
        if mentee is None:
            return
        if context.programme.survivor_lane:
            mentors = await pool.list_mentors(tx, programme_id, centers)
            worth = [m for m in mentors if worth_opening(Pair(mentee, m), context)]
            opened, there = await self._opened(tx, mentee, worth)
            small = await asyncio.to_thread(Pool, context, [opened], there)
            for mentor_id in await asyncio.to_thread(best_of, small, opened, _AT_ONCE):
                yield mentor_id
            return
        told: set[UUID] = set()
        count = _AT_ONCE
        while True:
            best = await self.pools.best_mentors(tx, context, centers, mentee, count)
            for mentor_id in best:
                if mentor_id not in told:
                    yield mentor_id
            if len(best) < count:
                return
            told.update(best)
            count *= _AT_ONCE

    async def pair(
        self,
        tx: Tx,
        context: Context,
        people: tuple[UUID, UUID],
        *,
        kept: Collection[str] = (),
    ) -> Pair | None:
        """Return (mentee, mentor) as they stand; None where one left the programme.

        The centers in `kept` cannot change until `tx` ends.
        """
        mentee_id, mentor_id = people
        programme_id = context.programme.programme_id
        centers = await registry.list_centers(tx, kept=kept)
        mentee = await pool.get_mentee(tx, programme_id, mentee_id, centers)
        mentors = await pool.list_mentors(tx, programme_id, centers, only=(mentor_id,))
        if mentee is None or not mentors:
            return None
        if context.programme.survivor_lane:
            mentee, mentors = await self._opened(tx, mentee, mentors)
        return Pair(mentee, mentors[0])

    async def _opened(
        self, tx: Tx, mentee: Mentee, mentors: Sequence[Mentor]
    ) -> tuple[Mentee, list[Mentor]]:
        people = (mentee.person.person_id, *(mentor.person.person_id for mentor in mentors))
        read = await survivors.read_survivors(tx, self.reader, people)

        def with_block(person: Person) -> Person:
            survivor = read.get(person.person_id)
            unreadable = person.person_id in read and survivor is None
            return replace(person, survivor=survivor, survivor_unreadable=unreadable)

        opened = replace(mentee, person=with_block(mentee.person))
        return opened, [replace(m, person=with_block(m.person)) for m in mentors]
