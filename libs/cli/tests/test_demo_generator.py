from datetime import UTC, datetime
from pathlib import Path

import pytest

from oncomentor_cli.demo.cast import CENTERS, PROGRAMMES
from oncomentor_cli.demo.faults import faulty_people
from oncomentor_cli.demo.files import CenterFile, write_files
from oncomentor_cli.demo.generator import people
from oncomentor_cli.demo.rules import Known, broken_rules, has_common_hours, known
from oncomentor_client.people import Person, read_people
from oncomentor_client.row import BadRow
from oncomentor_contracts.identifiers import derived_id
from oncomentor_contracts.programme import ProgrammeKind
from oncomentor_contracts.validation import institution_problems, programme_problems

WINTER = datetime(2026, 1, 15, 9, 0, tzinfo=UTC)
DST_APART = datetime(2026, 3, 16, 9, 0, tzinfo=UTC)  # New York has changed its clocks, Lisbon not


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[CenterFile, ...]:
    return write_files(tmp_path_factory.mktemp("demo"))


def everybody() -> list[Known]:
    return [known(plan, derived_id("test", plan.local_id)) for plan in people()]


def test_the_same_seed_makes_the_same_files(tmp_path: Path) -> None:
    first, second = write_files(tmp_path / "a"), write_files(tmp_path / "b")
    other = write_files(tmp_path / "c", seed="another")

    for one, two in zip(first, second, strict=True):
        assert one.path.read_bytes() == two.path.read_bytes()
        assert one.faults == two.faults
    assert other[0].path.read_bytes() != first[0].path.read_bytes()


def test_about_sixty_people_live_in_four_time_zones_and_three_programmes() -> None:
    made = people()

    assert 50 <= len(made) <= 70
    assert len({plan.tree["profile"]["time_zone"] for plan in made}) == 4
    assert {one.kind for one in PROGRAMMES} == {
        ProgrammeKind.RESEARCH, ProgrammeKind.CLINICAL, ProgrammeKind.SURVIVORSHIP,
    }  # fmt: skip


def test_everything_is_marked_as_made_up() -> None:
    plans = [*people(), *(plan for plan, _ in faulty_people())]

    for plan in plans:
        contact = plan.tree["contact"]
        assert contact["display_name"].endswith("(synthetic)")
        assert contact["email"].endswith(".invalid")
        assert "phone" not in contact
    for center in CENTERS:
        assert center.entry.name.endswith("(synthetic)")
        assert center.id.endswith("-demo")
        assert center.entry.ror_id is None
    assert all(one.name.endswith("(synthetic)") for one in PROGRAMMES)


def test_the_registry_takes_the_centers_and_the_programmes() -> None:
    assert [institution_problems(center.entry) for center in CENTERS] == [[], [], []]
    assert [programme_problems(one) for one in PROGRAMMES] == [[], [], []]


def test_a_center_finds_exactly_the_faults_it_can_know_of(files: tuple[CenterFile, ...]) -> None:
    for file in files:
        found = {
            row.row: {(one.field, one.rule) for one in row.problems}
            for row in read_people(file.path)
            if isinstance(row, BadRow)
        }

        planned = {r: f for r, f in file.faults.items() if not f.found_by_hub}
        assert found.keys() == planned.keys()
        for row, fault in planned.items():
            assert (fault.field, fault.rule) in found[row]


def test_files_read_back_as_the_people_they_were_made_from(files: tuple[CenterFile, ...]) -> None:
    for file in files:
        read = {row.local_id: row for row in read_people(file.path) if isinstance(row, Person)}

        for plan in file.good:
            person = known(plan, derived_id("test", plan.local_id))
            assert read[plan.local_id].profile == person.profile
            assert read[plan.local_id].contact == person.contact
            assert read[plan.local_id].survivor == person.survivor


@pytest.mark.parametrize("now", [WINTER, DST_APART])
def test_most_mentees_have_somebody_whatever_the_clocks_do(now: datetime) -> None:
    made = everybody()
    for programme in PROGRAMMES:
        mentees = [one for one in made if one.wants_in(programme.programme_id)]
        mentors = [one for one in made if one.mentors_in(programme.programme_id)]

        served = [
            mentee
            for mentee in mentees
            if any(not broken_rules(mentor, mentee, programme, now) for mentor in mentors)
        ]

        assert len(served) >= len(mentees) / 2, programme.programme_id


def test_some_people_must_never_be_matched() -> None:
    made = everybody()
    survivors = [one.survivor for one in made if one.survivor]

    assert any(one.readiness == "paused" for one in survivors)
    assert any(
        one.survivor and (one.survivor.years_since_treatment or 0) < 1 and one.profile.mentor_roles
        for one in made
    )


def test_the_hub_alone_can_find_some_faults() -> None:
    assert {fault.rule for _, fault in faulty_people() if fault.found_by_hub} == {
        "unknown_programme",
        "programme_not_open",
    }


def test_who_may_meet_does_not_hang_on_the_hour_at_which_it_is_asked() -> None:
    # At half past midnight in UTC it is still yesterday in America, and soon tomorrow in Asia.
    hours = [datetime(2026, 11, 26, hour, 30, tzinfo=UTC) for hour in (0, 5, 12, 23)]
    pairs = [(a, b) for a in everybody() for b in everybody() if a is not b]

    answers = {
        now: [has_common_hours(mentor, mentee, 45, now) for mentor, mentee in pairs]
        for now in hours
    }

    for now, answer in answers.items():
        assert answer == answers[hours[2]], now
