from hypothesis import given
from hypothesis import strategies as st

from servicekit.keeping.succession import Advance, Run, Waiting, next_step

STATES = st.sampled_from(["parked", "quarantined", "discarded"])
SUBJECTS = st.lists(st.tuples(st.integers(1, 12), STATES), max_size=20).map(
    lambda rows: [Waiting(n, sequence, state) for n, (sequence, state) in enumerate(rows)]
)


def test_followers_are_applied_up_to_the_next_hole_or_bad_record() -> None:
    parked = [Waiting(n, n, "parked") for n in (3, 4, 6)]

    assert next_step(2, parked) == Run((3, 4))
    assert next_step(2, [*parked, Waiting(9, 5, "quarantined")]) == Run((3, 4))
    assert next_step(4, [*parked, Waiting(9, 5, "quarantined")]) is None


def test_a_discarded_record_is_passed_over() -> None:
    assert next_step(4, [Waiting(1, 5, "discarded"), Waiting(2, 6, "parked")]) == Advance(5, 1)


def test_a_record_that_can_still_be_applied_is_not_passed_over_for_its_discarded_copy() -> None:
    copies = [Waiting(1, 5, "discarded"), Waiting(2, 5, "quarantined"), Waiting(3, 6, "parked")]

    assert next_step(4, copies) is None


def test_a_hole_asks_for_a_record_whose_place_could_not_be_read() -> None:
    assert next_step(4, [Waiting(2, 6, "parked")]) == Advance(5, None)


@given(applied=st.integers(0, 12), waiting=SUBJECTS)
def test_a_subject_moves_by_one_sequence_after_the_other_and_past_no_open_record(
    applied: int, waiting: list[Waiting]
) -> None:
    by_id = {one.quarantine_id: one for one in waiting}

    match next_step(applied, waiting):
        case Run(quarantine_ids):
            run = [by_id[one] for one in quarantine_ids]
            assert [one.sequence for one in run] == [applied + 1 + n for n in range(len(run))]
            assert {one.state for one in run} == {"parked"}
        case Advance(sequence, quarantine_id):
            assert sequence == applied + 1
            at_it = [one for one in waiting if one.sequence == sequence]
            assert all(one.state == "discarded" for one in at_it)
            assert (quarantine_id is None) == (not at_it)
        case None:
            ahead = [one for one in waiting if one.sequence > applied]
            nearest = [one.state for one in ahead if one.sequence == applied + 1]
            assert not ahead or ("quarantined" in nearest and "parked" not in nearest)


@given(applied=st.integers(0, 12), waiting=SUBJECTS)
def test_step_after_step_comes_to_an_end(applied: int, waiting: list[Waiting]) -> None:
    for _ in range(len(waiting) + 1):
        step = next_step(applied, waiting)
        if step is None or (isinstance(step, Advance) and step.quarantine_id is None):
            return
        last = step.sequence if isinstance(step, Advance) else applied + len(step.quarantine_ids)
        assert last > applied
        applied = last

    raise AssertionError("it never ends")
