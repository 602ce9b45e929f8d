import json
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from oncomentor_client.errors import UnusableFileError
from oncomentor_client.lines import MAX_LINE_BYTES
from oncomentor_client.people import FileFormat, Person, Submission, read_people
from oncomentor_client.row import BadRow
from oncomentor_contracts.identifiers import pseudonym

PERSON = {
    "local_id": "4711",
    "profile": {
        "profession": "medical_oncologist",
        "languages": ["en", "pt"],
        "time_zone": "Europe/Lisbon",
        "weekly_hours": [{"weekday": 1, "starts": "09:00", "ends": "11:00"}],
        "mentor_roles": [{"programme_id": "research", "offers": ["grant_writing"]}],
        "consents": [
            {"purpose": "matching", "text_version": "1", "given_at": "2026-01-05T00:00:00Z"}
        ],
    },
    "contact": {"display_name": "Ana Example", "email": "ana@harbor.invalid"},
}
ROW = (
    "{id},medical_oncologist,en|pt,Europe/Lisbon,Mon 09:00-11:00,research:grant_writing,"
    "matching@1@2026-01-05,Ana Example,ana@harbor.invalid"
)

WriteCsv = Callable[..., Path]
WriteJsonl = Callable[[Iterable[object]], Path]


def good(path: Path) -> list[Person]:
    return [row for row in read_people(path) if isinstance(row, Person)]


def bad(path: Path) -> list[BadRow]:
    return [row for row in read_people(path) if isinstance(row, BadRow)]


def rules(path: Path) -> list[tuple[int, str, str]]:
    return [(row.row, one.field, one.rule) for row in bad(path) for one in row.problems]


def test_a_person_reads_the_same_from_csv_and_from_jsonl(
    write_csv: WriteCsv, write_jsonl: WriteJsonl
) -> None:
    csv_file, jsonl_file = write_csv(ROW.format(id=4711)), write_jsonl([PERSON])

    (from_csv,), (from_jsonl,) = good(csv_file), good(jsonl_file)

    assert from_csv.profile == from_jsonl.profile
    assert from_csv.contact == from_jsonl.contact
    assert from_csv.local_id == from_jsonl.local_id == "4711"


def test_cells_hold_lists_hours_roles_training_and_consents(write_csv: WriteCsv) -> None:
    header = (
        "local_id,profile.profession,profile.languages,profile.time_zone,contact.display_name,"
        "contact.email,profile.weekly_hours,profile.mentor_roles,profile.mentee_roles,"
        "profile.training,profile.consents,contact.email_confirmed_at,survivor.cancer_type"
    )
    row = (
        "1,medical_oncologist,en | pt,Europe/Lisbon,Ana,ana@x.invalid,"
        "Mon 9:00-11:00|thursday 22:00–24:00,"
        "research:grant_writing+leadership;capacity=3;minutes=120;years=4|clinical:,"
        "leading:career_planning;wanted=2;urgency=now,"
        "mentor_basics@2025-02-01..2027-02-01,"
        "matching@1@2026-01-05|survivor_data@1@2026-01-05T10:00:00+01:00,2026-01-05,BRCA"
    )

    (person,) = good(write_csv(row, header=header))
    profile = person.profile

    assert [(one.weekday, one.starts.hour, one.ends.hour) for one in profile.weekly_hours] == [
        (1, 9, 11),
        (4, 22, 0),
    ]
    first, second = profile.mentor_roles
    assert (first.offers, first.capacity) == (("grant_writing", "leadership"), 3)
    assert (first.protected_minutes_month, first.years_mentoring) == (120, 4)
    assert (second.programme_id, second.offers) == ("clinical", ())
    assert (profile.mentee_roles[0].wanted_mentors, profile.mentee_roles[0].urgency) == (2, "now")
    assert str(profile.training[0].valid_until_on) == "2027-02-01"
    assert profile.consents[1].given_at.isoformat() == "2026-01-05T09:00:00+00:00"


def test_a_problem_names_row_field_rule_fix_and_the_nearest_value(write_csv: WriteCsv) -> None:
    path = write_csv(ROW.format(id=1).replace("medical_oncologist", "medical_oncolgist"))

    (row,) = bad(path)
    (problem,) = row.problems

    assert (row.row, row.local_id) == (2, "1")
    assert (problem.field, problem.rule) == ("profile.profession", "unknown_code")
    assert problem.suggestions[0] == "medical_oncologist"
    assert problem.message
    assert problem.fix


def test_everything_that_is_wrong_with_a_row_is_told_at_once(write_csv: WriteCsv) -> None:
    row = (
        "1,medical_oncologist,en,Europe/Lisbom,Foo 09:00-11:00,research:grant_writing,"
        ",Ana Example,ana@harbor.invalid"
    )

    told = rules(write_csv(row))

    assert (2, "profile.weekly_hours", "cell_format") in told
    assert (2, "profile.time_zone", "unknown_zone") in told
    assert (2, "profile.consents", "consent_missing") in told


@pytest.mark.parametrize(
    ("line", "rule"),
    [
        ('9,medical_oncologist,en,Europe/Lisbon,,,,A"na,ana@x.invalid', "bad_quotes"),
        ('9,medical_oncologist,"en,Europe/Lisbon,,,,Ana,ana@x.invalid', "bad_quotes"),
        ("9,medical_oncologist,en", "column_count"),
        ("9,medical_oncologist,en,Europe/Lisbon,,,,Ana,nobody", "wrong_format"),
        (
            f"9,medical_oncologist,en,Europe/Lisbon,,,,{'A' * MAX_LINE_BYTES},a@x.invalid",
            "too_long",
        ),
    ],
)
def test_a_bad_row_costs_nobody_else(write_csv: WriteCsv, line: str, rule: str) -> None:
    path = write_csv(ROW.format(id=1), line, *(ROW.format(id=n) for n in range(2, 6)))

    assert [row.local_id for row in good(path)] == ["1", "2", "3", "4", "5"]
    assert [row.row for row in bad(path)] == [3]
    assert rule in {one.rule for one in bad(path)[0].problems}


def test_a_row_in_another_encoding_costs_nobody_else(tmp_path: Path, write_csv: WriteCsv) -> None:
    path = write_csv(ROW.format(id=1), ROW.format(id=2).replace("Ana", "Zoë"), ROW.format(id=3))
    path.write_bytes(path.read_bytes().replace("Zoë".encode(), "Zoë".encode("latin-1")))

    assert [row.local_id for row in good(path)] == ["1", "3"]
    assert rules(path) == [(3, "row", "not_utf8")]


def test_a_cell_may_hold_line_ends_and_quotes(write_csv: WriteCsv) -> None:
    header = (
        "local_id,profile.profession,profile.languages,profile.time_zone,profile.consents,"
        "contact.display_name,contact.email,contact.own_words"
    )
    row = (
        "1,medical_oncologist,en,Europe/Lisbon,matching@1@2026-01-05,Ana,a@x.invalid,"
        '"First line\nshe said ""yes""\n\nlast line"'
    )
    after = "2,medical_oncologist,en,Europe/Lisbon,matching@1@2026-01-05,Ben,b@x.invalid,"

    first, second = good(write_csv(row, after, header=header))

    assert first.contact.own_words == 'First line\nshe said "yes"\n\nlast line'
    assert (second.row, second.contact.own_words) == (6, None)


def test_a_byte_order_mark_empty_lines_and_semicolons_are_understood(write_csv: WriteCsv) -> None:
    path = write_csv("", ROW.format(id=1).replace(",", ";"), ";;;;;;;;", "  ")
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b",", b";"))

    assert [(row.row, row.local_id) for row in good(path)] == [(3, "1")]
    assert not bad(path)


@pytest.mark.parametrize(
    ("content", "rule"),
    [
        (b"", "missing_header"),
        (b"1,medical_oncologist,en\n", "missing_header"),
        ("local_id,profile.profession\n".encode("utf-16"), "not_utf8"),
        (b"local_id,profile.proffesion\n1,x\n", "unknown_column"),
        (b"local_id,local_id\n1,x\n", "double_column"),
        (b"local_id,profile.profession\n1,x\n", "missing_column"),
    ],
)
def test_a_wrong_header_is_said_once(tmp_path: Path, content: bytes, rule: str) -> None:
    path = tmp_path / "people.csv"
    path.write_bytes(content)

    (row,) = read_people(path)

    assert isinstance(row, BadRow)
    assert row.row == 1
    assert rule in {one.rule for one in row.problems}


def test_a_misspelt_column_suggests_the_right_one(write_csv: WriteCsv) -> None:
    path = write_csv(header="local_id,profile.proffesion")

    (row,) = bad(path)

    suggestions = {one.field: one.suggestions for one in row.problems}
    assert suggestions["profile.proffesion"][0] == "profile.profession"


def test_the_second_row_of_a_person_is_refused(write_csv: WriteCsv) -> None:
    path = write_csv(ROW.format(id="a1"), ROW.format(id=" a1 "), ROW.format(id="A1"))

    assert [row.local_id for row in good(path)] == ["a1", "A1"]
    assert rules(path) == [(3, "local_id", "duplicate")]


def test_jsonl_rows_are_judged_one_by_one(write_jsonl: WriteJsonl) -> None:
    stranger = {**PERSON, "local_id": "2", "profile": {**PERSON["profile"], "profesion": "x"}}  # type: ignore[dict-item]
    path = write_jsonl(
        [
            PERSON,
            b"{not json",
            b"",
            b"[1]",
            stranger,
            b'{"local_id": "3", "local_id": "4"}',
            b'{"a": ' + b"[" * 50_000 + b"]" * 50_000 + b"}",
            json.dumps({**PERSON, "local_id": "5"}).encode(),
            b"\xff\xff",
        ]
    )

    assert [row.row for row in good(path)] == [1, 8]
    told = rules(path)
    assert {(2, "row", "not_json"), (4, "row", "not_json"), (6, "row", "not_json")} <= set(told)
    assert (5, "profile.profesion", "unknown_field") in told
    assert {row for row, _, _ in told} == {2, 4, 5, 6, 7, 9}


def test_a_word_that_an_enum_does_not_know_is_no_silent_unknown(write_jsonl: WriteJsonl) -> None:
    profile = {**PERSON["profile"], "modalities": ["virtul"]}  # type: ignore[dict-item]
    path = write_jsonl([{**PERSON, "profile": profile}])

    ((problem,),) = [row.problems for row in bad(path)]

    assert (problem.field, problem.rule) == ("profile.modalities[0]", "unknown_value")
    assert problem.suggestions == ("virtual",)


def test_a_row_of_another_shape_is_told_by_field(write_jsonl: WriteJsonl) -> None:
    path = write_jsonl([{"local_id": "1", "profile": {"languages": []}, "contact": "Ana"}])

    told = rules(path)

    assert (1, "profile.profession", "missing") in told
    assert (1, "profile.languages", "too_short") in told
    assert (1, "contact", "wrong_type") in told


def test_a_file_that_is_not_there_says_so(tmp_path: Path) -> None:
    with pytest.raises(UnusableFileError, match="check the name"):
        list(read_people(tmp_path / "nobody.csv"))


def test_a_name_that_tells_no_format_asks_for_it(tmp_path: Path, write_csv: WriteCsv) -> None:
    renamed = write_csv(ROW.format(id=1)).rename(tmp_path / "people.txt")

    with pytest.raises(UnusableFileError, match="--format"):
        list(read_people(renamed))
    assert len(list(read_people(renamed, FileFormat.CSV))) == 1


def test_own_words_of_a_center_leave_it_as_tokens_alone() -> None:
    key = b"k" * 32
    said = Submission.model_validate(
        {
            **PERSON,
            "local": {"unit": "Ward  3", "reporting_lines": ["Dr. Chief"], "blocked": ["007"]},
        }
    )
    person = Person(1, "4711", said.profile, said.contact, None, said.local)

    coded = person.coded(key, "harbor-demo")
    text = coded.model_dump_json()

    assert "Ward" not in text
    assert "Chief" not in text
    assert '"007"' not in text
    assert coded.blocked_person_ids == (pseudonym(key, "harbor-demo", "007"),)
    same_unit = Submission.model_validate({**PERSON, "local": {"unit": "ward 3"}})
    other = Person(2, "1", same_unit.profile, same_unit.contact, None, same_unit.local)
    assert other.coded(key, "harbor-demo").unit_key == coded.unit_key
    assert other.coded(b"x" * 32, "harbor-demo").unit_key != coded.unit_key
