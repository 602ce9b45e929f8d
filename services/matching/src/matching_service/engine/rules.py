"""The hard rules as columns: small integers and bits that a compiled loop can ask.

Three kinds. What concerns one person alone is asked when the person comes in, what concerns two
centers when they first meet: both by the rules of `domain.rules` themselves. What concerns two
people is asked here, of columns, in the order of what it costs; `broken` names every rule that a
pair breaks, `fits` stops at the first.
"""

from dataclasses import replace

import numpy as np

from matching_service.domain.pool import Context, Mentee, Mentor, Pair
from matching_service.domain.rules import centers, people, room, survivor
from matching_service.domain.rules.rule import Rule
from matching_service.engine.columns import I32, LANGUAGE_WORDS, Centers, Columns
from matching_service.engine.jit import compiled, inlined

BETWEEN_PEOPLE: tuple[Rule, ...] = (
    people.SHARED_LANGUAGE,
    room.COMMON_HOURS,
    centers.PROFILE_AGE,
    people.INDEPENDENT,
    people.TWO_PEOPLE,
    people.NO_CONFLICT,
    people.NOT_BLOCKED,
    people.NEVER_BEFORE,
)
"""What two people are asked; bit n of what `broken` returns is the n-th."""
BETWEEN_CENTERS = (centers.CROSS_INSTITUTION, centers.PARTNERS, centers.JURISDICTIONS)
"""What two centers are asked; bit n of `Centers.broken` is the n-th."""
_OF_EITHER: tuple[Rule, ...] = (
    centers.PROGRAMME_OPEN,
    centers.CENTERS_ACTIVE,
    people.BOTH_ACTIVE,
    people.CONSENTS,
    survivor.LANE_OPEN,
    survivor.READY,
)
_OF_MENTOR: tuple[Rule, ...] = (
    people.TRAINING,
    survivor.PAST_TREATMENT,
    room.SEAT_FREE,
    room.PROTECTED_MINUTES,
)

LOW = np.uint64(0xFFFFFFFF)
_SHARED_LANGUAGE, _COMMON_HOURS, _PROFILE_AGE, _INDEPENDENT = 1, 2, 4, 8
_TWO_PEOPLE, _NO_CONFLICT, _NOT_BLOCKED, _NEVER_BEFORE = 16, 32, 64, 128


def alone(side: Mentee | Mentor, context: Context) -> list[Rule]:
    """Return the rules that a person breaks whoever the other one is.

    They are asked of the person and a twin who breaks none that is about the twin.
    """
    person = side.person
    twin = replace(
        person,
        active=True,
        consents=frozenset({"matching", "survivor_data"}),
        survivor=person.survivor and replace(person.survivor, ready=True),
    )
    if isinstance(side, Mentee):
        pair = Pair(side, Mentor(twin))
        asked = _OF_EITHER
    else:
        pair = Pair(Mentee(twin), side)
        asked = _OF_EITHER + _OF_MENTOR
    return [rule for rule in asked if not rule.holds(pair, context)]


@inlined
def _speak_alike(mentees: Columns, j: int, mentors: Columns, i: int) -> bool:
    for word in range(1, 1 + LANGUAGE_WORDS):  # noqa: SIM110 - compiled
        if mentees.key[j, word] & mentors.key[i, word]:
            return True
    return False


@inlined
def _can_meet(mentees: Columns, j: int, mentors: Columns, i: int) -> bool:
    for word in range(1 + LANGUAGE_WORDS, mentees.key.shape[1]):
        if mentees.key[j, word] & mentors.key[i, word]:
            return True
    return False


@inlined
def _meet(left: I32, begin: int, end: int, right: I32, start: int, stop: int) -> bool:
    """Tell whether two sorted lists have a number in common."""
    while begin < end and start < stop:
        if left[begin] == right[start]:
            return True
        if left[begin] < right[start]:
            begin += 1
        else:
            start += 1
    return False


@inlined
def _has(numbers: I32, begin: int, end: int, wanted: int) -> bool:
    for at in range(begin, end):  # noqa: SIM110 - compiled
        if numbers[at] == wanted:
            return True
    return False


@inlined
def _dependent(mentees: Columns, j: int, mentors: Columns, i: int) -> bool:
    ours, theirs = mentees.bounds[j], mentors.bounds[i]
    lab = mentees.key[j, 0] >> np.uint64(32)
    if lab != np.uint64(0) and lab == mentors.key[i, 0] >> np.uint64(32):
        return True
    if _meet(mentees.lists, ours[0], ours[1], mentors.lists, theirs[0], theirs[1]):
        return True
    if mentees.unit[j] >= 0 and _has(mentors.lists, theirs[1], theirs[2], mentees.unit[j]):
        return True
    return bool(mentors.unit[i] >= 0 and _has(mentees.lists, ours[1], ours[2], mentors.unit[i]))


@inlined
def _barred(mentees: Columns, j: int, mentors: Columns, i: int) -> int:
    """Return the bits of the rules that are about these two people and nobody else."""
    found = 0
    ours, theirs = mentees.bounds[j], mentors.bounds[i]
    me, you = mentees.lists, mentors.lists
    same = _meet(me, ours[2], ours[3], you, theirs[2], theirs[3])
    if same or mentees.person[j] == mentors.person[i]:
        found |= _TWO_PEOPLE
    against_you = _meet(me, ours[3], ours[4], you, theirs[2], theirs[3])
    against_me = _meet(me, ours[2], ours[3], you, theirs[3], theirs[4])
    if against_you or against_me:
        found |= _NO_CONFLICT
    blocks_you = _has(me, ours[4], ours[5], mentors.person[i])
    blocks_me = _has(you, theirs[4], theirs[5], mentees.person[j])
    if blocks_you or blocks_me:
        found |= _NOT_BLOCKED
    if _has(me, ours[5], ours[6], mentors.person[i]):
        found |= _NEVER_BEFORE
    return found


@inlined
def _stale(mentees: Columns, j: int, mentors: Columns, i: int, where: Centers) -> bool:
    here, there = mentees.key[j, 0] & LOW, mentors.key[i, 0] & LOW
    since = min(mentees.changed[j], mentors.changed[i])
    return bool(since < where.oldest[here] or since < where.oldest[there])


@compiled
def broken(mentees: Columns, j: int, mentors: Columns, i: int, where: Centers) -> int:
    """Return the bits of the rules of `BETWEEN_PEOPLE` that mentee j and mentor i break."""
    found = _barred(mentees, j, mentors, i)
    if not _speak_alike(mentees, j, mentors, i):
        found |= _SHARED_LANGUAGE
    if not _can_meet(mentees, j, mentors, i):
        found |= _COMMON_HOURS
    if _stale(mentees, j, mentors, i, where):
        found |= _PROFILE_AGE
    if _dependent(mentees, j, mentors, i):
        found |= _INDEPENDENT
    return found


@inlined
def fits(mentees: Columns, j: int, mentors: Columns, i: int, where: Centers) -> bool:
    """Tell whether mentee j and mentor i break none of the rules between two; cheap ones first."""
    here, there = mentees.key[j, 0] & LOW, mentors.key[i, 0] & LOW
    return bool(
        where.broken[here, there] == 0
        and _speak_alike(mentees, j, mentors, i)
        and _can_meet(mentees, j, mentors, i)
        and not _stale(mentees, j, mentors, i, where)
        and not _dependent(mentees, j, mentors, i)
        and _barred(mentees, j, mentors, i) == 0
    )
