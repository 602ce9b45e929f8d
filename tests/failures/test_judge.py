"""Each judge passes a good history made by hand and finds what is wrong with a bad one."""

from dataclasses import replace
from uuid import UUID

import pytest

from testkit.faults.words import chained, mark_of
from testkit.history import (
    CursorMove,
    Evidence,
    Frozen,
    Heard,
    Kept,
    Logged,
    Operation,
    PositionMove,
    Reader,
    Recovery,
    Said,
    Table,
    Violation,
)
from testkit.judge import judge

MATCH = "matching.match"
STATE = "profile.profile"
MARKS = [str(mark_of(1, nth)) for nth in range(4)]
SUBJECT = str(UUID(int=7))


def a_fact(nth: int, *, offset: int | None = None, event_id: str | None = None) -> Logged:
    """The nth fact of one match, said because of the nth command."""
    return Logged(
        topic=MATCH,
        partition=0,
        offset=nth - 1 if offset is None else offset,
        event_id=event_id or f"event-{nth}",
        type="match.accepted.v1",
        subject=SUBJECT,
        sequence=nth,
        source="/services/matching",
        causationid=f"command-{nth}",
        data={"person_id": MARKS[nth]},
        digest=f"digest-{nth}",
    )


def a_command(nth: int) -> Operation:
    return Operation(
        id=f"command-{nth}",
        what="accept",
        topic="ingress.one.response",
        subject=SUBJECT,
        mark=MARKS[nth],
        door="kafka",
        poison=False,
        outcome="ok",
        began_at=0.0,
        ended_at=1.0,
    )


def a_hearing(nth: int, *, at: int | None = None, process: str = "scheduling-a.1") -> Heard:
    return Heard(
        "notification", nth if at is None else at, MATCH, f"event-{nth}", SUBJECT, nth,
        "match.accepted.v1", process, 10.0 + nth,
    )  # fmt: skip


def a_row(nth: int) -> Said:
    return Said("matching", nth, MATCH, f"event-{nth}", "match.accepted.v1", SUBJECT, nth)


def the_chain(*numbers: int) -> str:
    chain = ""
    for nth in numbers:
        chain = chained(chain, "match.accepted.v1", MARKS[nth])
    return f"{len(numbers)} {chain}"


def good(**changes: object) -> Evidence:
    """Two commands, two facts, heard by notification: as it should be."""
    numbers = (1, 2)
    evidence = Evidence(
        operations=tuple(map(a_command, numbers)),
        log=tuple(map(a_fact, numbers)),
        heard=tuple(map(a_hearing, numbers)),
        said=tuple(map(a_row, numbers)),
        tables=(
            Table("notification", "match_logs", {SUBJECT: the_chain(1, 2)}, {SUBJECT: the_chain(1, 2)}),
        ),
        readers=(Reader("notification", {MATCH: "fact"}, frozenset({"match.accepted.v1"})),),
    )  # fmt: skip
    return replace(evidence, **changes)  # type: ignore[arg-type]


def test_a_good_history_passes() -> None:
    assert judge(good()) == []


def test_what_is_written_twice_by_a_relay_and_applied_once_passes() -> None:
    assert judge(good(log=(a_fact(1), a_fact(2), a_fact(2, offset=2)))) == []


FACTS = (a_fact(1), a_fact(2))
BAD: dict[str, tuple[Evidence, int]] = {
    "a command without its event": (good(operations=(*map(a_command, (1, 2, 3)),)), 1),
    "a command with two events": (
        good(log=(*FACTS, replace(a_fact(3), causationid="command-2")), said=(*map(a_row, (1, 2, 3)),)),
        1,
    ),
    "a refused command that left an event": (
        good(operations=(a_command(1), replace(a_command(2), outcome="failed"))),
        1,
    ),
    "a record that was not applied": (good(heard=(a_hearing(1),)), 2),
    "a record applied twice": (good(heard=(a_hearing(1), a_hearing(2), a_hearing(2, at=3))), 2),
    "an event from nowhere": (good(heard=(*map(a_hearing, (1, 2, 3)),)), 2),
    "an order turned round": (good(heard=(a_hearing(2, at=1), a_hearing(1, at=2))), 3),
    "a count with a hole": (good(said=(a_row(1), replace(a_row(2), sequence=3))), 3),
    "a count taken twice": (good(said=(a_row(1), replace(a_row(2), sequence=1))), 3),
    "a projection that differs from its replay": (
        good(tables=(Table("notification", "match_logs", {SUBJECT: the_chain(1, 2)}, {}),)),
        4,
    ),
    "a projection that differs from its fold": (
        good(tables=(Table("notification", "match_logs", {SUBJECT: the_chain(2, 1)}),)),
        4,
    ),
    "an event without a committed change": (good(said=(a_row(1),)), 5),
    "a row that was never sent": (good(said=(*map(a_row, (1, 2, 3)),)), 6),
    "rows sent in the wrong order": (
        good(log=(a_fact(2, offset=0), a_fact(1, offset=1))),
        6,
    ),
    "a cursor moved by an old epoch": (
        good(cursor_moves=(CursorMove("matching", 1, 2), CursorMove("matching", 1, 1))),
        6,
    ),
    "a position that went back": (
        good(
            position_moves=(
                PositionMove("notification", "g", MATCH, 0, 0, 2),
                PositionMove("notification", "g", MATCH, 0, 2, 1),
            )
        ),
        7,
    ),
    "a zombie that applied what was applied": (
        good(
            heard=(a_hearing(1), a_hearing(2), replace(a_hearing(2, at=3, process="z.1"), at=99.0)),
            frozen=(Frozen("z.1", 5.0, 50.0),),
        ),
        7,
    ),
    "a good record in quarantine": (
        good(kept=(Kept("notification", MATCH, 0, 1, "digest-2", "bad_data", "quarantined"),)),
        8,
    ),
    "a reader that refuses a newer contract": (
        good(
            newer_types=frozenset({"match.noted.v1"}),
            kept=(Kept("notification", MATCH, 0, 1, "digest-2", "bad_data", "quarantined"),),
        ),
        11,
    ),
    "a slow recovery": (good(recoveries=(Recovery("service", 16.0),)), 12),
    "work that never ended": (good(unsettled=("matching: 3 timers",)), 12),
    "a message that nobody booked": (good(calls=("x",)), 15),
    "a state that ends with an older one": (
        good(
            log=(*FACTS, *(replace(
                    a_fact(n), topic=STATE, type="profile.deleted.v1", offset=2 - n, source=None, data=None
                ) for n in (2, 1))),
            readers=(Reader("profile", {STATE: "state"}, frozenset()),),
        ),
        16,
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_a_bad_history_is_found_out(case: str) -> None:
    evidence, invariant = BAD[case]

    assert invariant in {violation.invariant for violation in judge(evidence)}


def a_booking(nth: int) -> Said:
    topic, event_type = "scheduling.session", "session.booked.v1"
    return Said("scheduling", nth, topic, f"event-{nth}", event_type, f"session-{nth}", 1)


@pytest.mark.parametrize(
    ("calls", "interruptions", "holds"),
    [
        (("session-1",), 0, True),
        ((), 0, False),
        (("session-1", "session-1"), 1, True),
        (("session-1", "session-1"), 0, False),
    ],
)
def test_a_message_goes_out_once_and_once_more_at_most_for_a_crash(
    calls: tuple[str, ...], interruptions: int, holds: bool
) -> None:
    reader = Reader("notification", {}, frozenset())
    evidence = Evidence(
        said=(a_booking(1),), readers=(reader,), calls=calls, interruptions=interruptions
    )

    assert (15 not in {violation.invariant for violation in judge(evidence)}) is holds


def test_what_follows_a_bad_fact_of_its_subject_is_parked_and_the_rest_goes_on() -> None:
    bad = replace(a_fact(1), data={"person_id": str(mark_of(1, 1, ending=0xBEEF))})
    other = replace(a_fact(1), offset=2, subject="another", event_id="event-9", causationid="x")
    evidence = good(
        operations=(),
        log=(bad, a_fact(2), other),
        heard=(replace(a_hearing(1), event_id="event-9", subject="another"),),
        said=(a_row(1), a_row(2), replace(a_row(1), seq=3, event_id="event-9", subject="another")),
        kept=(
            Kept("notification", MATCH, 0, 0, "digest-1", "handler_failed", "quarantined"),
            Kept("notification", MATCH, 0, 1, "digest-2", "sequence_gap", "parked"),
        ),
        tables=(Table("notification", "match_logs", {"another": the_chain(1)}),),
    )
    lost = replace(evidence, kept=evidence.kept[:1])

    assert judge(evidence) == []
    assert Violation(8, f"notification lost the bad record {(MATCH, 0, 1)}") in judge(lost)
