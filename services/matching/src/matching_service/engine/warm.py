"""Compile what proposals need, once for these sources: `python -m matching_service.engine.warm`."""

import sys
from datetime import UTC, datetime
from uuid import UUID

from matching_service.domain.pool import Center, Context, Mentee, Mentor, Person, Programme
from matching_service.domain.taxonomy import Taxonomy
from matching_service.engine import jit
from matching_service.engine.pool import Pool

_NOW = datetime(2026, 1, 1, tzinfo=UTC)


def warm() -> None:
    """Look for the best of one mentor: what is compiled for one is there for all.

    It takes a second, or some ten where nothing was compiled yet.
    """
    programme = Programme("warm", weights=(("goals", 1.0),))
    context = Context(programme, _NOW, Taxonomy())
    mentee, mentor = Mentee(_somebody(1)), Mentor(_somebody(2))
    Pool(context, [mentee], [mentor]).best_mentors([mentee.person.person_id], 1)


def _somebody(number: int) -> Person:
    return Person(UUID(int=number), Center("here", ""), 1, _NOW, "UTC", ("en",))


if __name__ == "__main__":
    if not jit.are_kept():
        sys.stderr.write("matching engine: compiling, once after each change of it\n")
    warm()
