import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from oncomentor_contracts import vocabulary
from oncomentor_contracts.vocabulary import Unknown

UNHURRIED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
CODE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_./+-]{0,59}")

names = pytest.mark.parametrize("name", vocabulary.NAMES)
LOADED_IN_TIME = """
import time
from oncomentor_contracts import vocabulary
started = time.process_time()
assert len(vocabulary.known("oncotree")) == 897
print(time.process_time() - started)
"""


@names
def test_every_term_can_be_written_in_a_profile(name: str) -> None:
    assert [code for code in vocabulary.known(name) if not CODE.fullmatch(code)] == []


@names
def test_parents_exist_and_stand_before_their_children(name: str) -> None:
    terms = vocabulary.known(name)

    for code in terms:
        above = vocabulary.ancestors(name, code)
        assert [terms[a].order for a in above] == sorted(
            (terms[a].order for a in above), reverse=True
        )
        assert all(terms[a].order < terms[code].order for a in above)


@names
def test_every_code_is_the_nearest_to_itself_in_any_case(name: str) -> None:
    codes = list(vocabulary.known(name))[:40]

    for code in codes:
        assert code in vocabulary.suggest(name, code.swapcase()), code


@names
def test_every_short_list_says_where_its_terms_come_from(name: str, contracts: Path) -> None:
    folder = contracts / "src" / "oncomentor_contracts" / "data"
    attribution = (folder / "ATTRIBUTION.md").read_text()
    own = folder / f"{name}.toml"

    assert "source = " in own.read_text() if own.is_file() else name in attribution


@UNHURRIED
@given(st.sampled_from(vocabulary.NAMES), st.text(max_size=300))
def test_whatever_is_asked_for_the_suggestions_exist(name: str, text: str) -> None:
    suggestions = vocabulary.suggest(name, text)

    assert len(suggestions) == len(set(suggestions)) <= 3
    assert all(code in vocabulary.known(name) for code in suggestions)


@pytest.mark.parametrize(
    ("name", "written", "meant"),
    [
        ("oncotree", "luad", "LUAD"),
        ("oncotree", "LUADD", "LUAD"),
        ("oncotree", "lung adeno", "LUAD"),
        ("oncotree", "Breast Cancer", "BREAST"),
        ("profession", "Onc Nurse", "oncology_nurse"),
        ("topic", "leukaemia", "leukemia"),
        ("topic", "breast_cancer", "breast"),
        ("goal", "grants", "grant_writing"),
        ("career_stage", "postdoc", "fellow"),
        ("method", "CRISPR", "gene_editing"),
        ("training", "gcp", "good_clinical_practice"),
        ("language", "Portuguese", "pt"),
        ("language", "por", "pt"),
        ("zone", "Europe/Lisboa", "Europe/Lisbon"),
        ("zone", "lisbon", "Europe/Lisbon"),
        ("country", "UK", "GB"),
        ("country", "PRT", "PT"),
    ],
)
def test_the_nearest_term_comes_first(name: str, written: str, meant: str) -> None:
    assert vocabulary.suggest(name, written)[0] == meant


def test_nothing_is_suggested_where_nothing_is_alike() -> None:
    assert vocabulary.suggest("treatment", "qqqqqqqq") == ()


def test_a_code_is_checked_with_its_case() -> None:
    assert vocabulary.check("oncotree", "LUAD") is None
    unknown = Unknown("treatment", "Surgery", ("surgery", "reconstruction", "amputation"))
    assert vocabulary.check("treatment", "Surgery") == unknown


def test_an_unknown_vocabulary_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        vocabulary.known("tumour")


def test_the_root_of_oncotree_is_no_tumour_type() -> None:
    assert "TISSUE" not in vocabulary.known("oncotree")
    assert vocabulary.ancestors("oncotree", "LUAD") == ("NSCLC", "LUNG")


@pytest.mark.parametrize(
    ("name", "lower", "higher"),
    [("career_stage", "trainee", "senior"), ("age_band", "15-19", "80+")],
)
def test_an_ordered_vocabulary_ranks_its_terms(name: str, lower: str, higher: str) -> None:
    terms = vocabulary.known(name)

    assert name in vocabulary.ORDERED
    assert terms[lower].order < terms[higher].order


@pytest.mark.parametrize(
    "tag", ["pt", "pt-BR", "zh-Hant-TW", "zh-yue", "es-419", "ca-valencia", "de-1996", "sr-latn-rs"]
)
def test_a_language_that_people_speak_is_one(tag: str) -> None:
    assert vocabulary.is_language(tag)


@pytest.mark.parametrize(
    "tag",
    [
        "",
        "xx",
        "por",
        "PT",
        "pt-",
        "pt-ZZ",
        "pt-Qqqq",
        "pt-999",
        "en-u-ca-buddhist",
        "und",
        "pt_BR",
    ],
)
def test_anything_else_is_no_language(tag: str) -> None:
    assert not vocabulary.is_language(tag)


@pytest.mark.parametrize(
    ("zone", "exists"),
    [
        ("Europe/Lisbon", True),
        ("Asia/Kolkata", True),
        ("UTC", True),
        ("europe/lisbon", False),
        ("Europe/Lisboa", False),
        ("../etc/passwd", False),
        ("", False),
    ],
)
def test_a_zone_is_what_the_tz_database_has(zone: str, exists: bool) -> None:
    assert vocabulary.is_zone(zone) is exists


@pytest.mark.parametrize(
    ("code", "exists"), [("PT", True), ("XK", True), ("EU", False), ("ZZ", False)]
)
def test_a_country_is_one_of_iso_3166(code: str, exists: bool) -> None:
    assert vocabulary.is_country(code) is exists


def test_the_tumour_types_are_read_at_once() -> None:
    runs = [
        subprocess.run(
            [sys.executable, "-c", LOADED_IN_TIME], capture_output=True, text=True, check=True
        )
        for _ in range(5)
    ]

    assert min(float(run.stdout) for run in runs) < 0.03
