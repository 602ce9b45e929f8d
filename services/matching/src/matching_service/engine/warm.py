"""Compile the engine before it is needed, once for these sources.

Run: python -m matching_service.engine.warm [rounds]

What proposals need takes some ten seconds, with `rounds` what whole cohorts need a minute more; a
second where it was compiled before.
"""

import sys
from datetime import UTC, datetime
from uuid import UUID

from matching_service.domain.pool import Center, Context, Mentee, Mentor, Person, Programme
from matching_service.domain.taxonomy import Taxonomy
from matching_service.engine import jit
from matching_service.engine.hold import Asked, hold_round, hold_stable
from matching_service.engine.pool import Pool
from matching_service.engine.report import report

_NOW = datetime(2026, 1, 1, tzinfo=UTC)


def warm(*, rounds: bool = False) -> None:
    """Do everything once for one mentee and one mentor: what is compiled for them is there for all."""
    programme = Programme("warm", weights=(("goals", 1.0),))
    context = Context(programme, _NOW, Taxonomy())
    mentee, mentor = Mentee(_somebody(1)), Mentor(_somebody(2))
    pool = Pool(context, [mentee], [mentor])
    pool.best_mentors([mentee.person.person_id], 1)
    pool.best_mentees(mentor.person.person_id, 1)
    if rounds:
        held = hold_round(pool, Asked(floor=0.5))
        report(pool, held, synthetic=True, other=hold_stable(pool))


def _somebody(number: int) -> Person:
    return Person(UUID(int=number), Center("here", ""), 1, _NOW, "UTC", ("en",))


if __name__ == "__main__":
    if not jit.are_kept():
        sys.stderr.write("matching engine: compiling, once after each change of it\n")
    warm(rounds="rounds" in sys.argv[1:])
