"""An independent library finds the same stable matchings; it is installed where the benchmarks' peers are."""

import pytest
from bench_peers import ask_matching, lists_of, pairs_of, views_of
from bench_round import cohort_of
from market import synthetic

from matching_service.engine.stable import on_lists, stable


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(("mentors", "mentees"), [(64, 100), (64, 400)])
def test_pypi_matching_finds_the_same_over_all_eligible_pairs(
    mentors: int, mentees: int, seed: int
) -> None:
    """With seats for all, and with too few; it gets whole lists, we find whom to ask by ourselves."""
    cohort = cohort_of(synthetic(mentors, mentees, seed).market)
    views = views_of(cohort)

    theirs = ask_matching(cohort, views, lists_of(cohort, views, mentors))

    assert theirs["pairs"]
    assert theirs["pairs"] == pairs_of(stable(cohort, views))


def test_pypi_matching_finds_the_same_on_lists_that_end_early() -> None:
    cohort = cohort_of(synthetic(64, 300, 9).market)
    views = views_of(cohort)
    lists = lists_of(cohort, views, 3)

    assert ask_matching(cohort, views, lists)["pairs"] == pairs_of(on_lists(cohort, views, lists))
