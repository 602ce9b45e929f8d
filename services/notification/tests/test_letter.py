import re
import string
import tomllib
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from services.notification.tests.builders import LINK, RESPOND_BY, STARTS_AT

from notification_service.domain.match import Side
from notification_service.domain.notice import Template
from notification_service.gateways.letter import (
    LANGUAGES,
    Meeting,
    Occasion,
    one_line,
    write,
    zone_of,
)

OCCASIONS = [
    (template, side, moved)
    for template in Template
    for side in Side
    for moved in (False, True)
    if not moved or template is Template.SESSION_INVITATION
]


def an_occasion(
    template: Template = Template.SESSION_INVITATION,
    *,
    locale: str = "en",
    zone: str = "Europe/Lisbon",
    side: Side = Side.MENTOR,
    moved: bool = False,
    starts_at: datetime = STARTS_AT,
) -> Occasion:
    offered = template is Template.MATCH_OFFERED
    meeting = Meeting(starts_at, 60, LINK, moved)
    return Occasion(
        template=template,
        side=side,
        locale=locale,
        zone=zone,
        name="Ana Reis",
        center="North Center",
        counterpart=None if offered else "Maya Lindqvist",
        counterpart_center="South Center",
        programme="Early Career",
        respond_by=RESPOND_BY if offered else None,
        meeting=meeting if template is Template.SESSION_INVITATION else None,
    )


def texts(language: str) -> dict[str, Any]:
    folder = files("notification_service.gateways") / "texts"
    return tomllib.loads((folder / f"{language}.toml").read_text("utf-8"))


def leaves(tree: Any, path: str = "") -> dict[str, str]:
    if isinstance(tree, str):
        return {path: tree}
    pairs = tree.items() if isinstance(tree, dict) else enumerate(tree)
    return {
        key: text for name, part in pairs for key, text in leaves(part, f"{path}/{name}").items()
    }


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_language_says_everything_with_the_same_facts(language: str) -> None:
    reference, other = leaves(texts("en")), leaves(texts(language))

    assert other.keys() == reference.keys()
    for key, text in other.items():
        names = set(re.findall(r"{{ (\w+) }}", text))
        assert names == set(re.findall(r"{{ (\w+) }}", reference[key])), key


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize(("template", "side", "moved"), OCCASIONS)
def test_every_occasion_can_be_written_in_every_language(
    language: str, template: Template, side: Side, moved: bool
) -> None:
    occasion = an_occasion(template, locale=language, side=side, moved=moved)

    letter = write(occasion)

    assert letter.language == language
    assert letter.subject == one_line(letter.subject)
    for text in (letter.subject, letter.text, letter.html):
        assert "{{" not in text
        assert "{%" not in text
        assert "None" not in text
    assert (letter.summary is not None) == (template is Template.SESSION_INVITATION)
    assert "North Center" in letter.text
    assert "Ana Reis" in letter.html


@pytest.mark.parametrize(
    ("tag", "language"),
    [
        ("pt-BR", "pt-BR"),
        ("de", "de"),
        ("fr-CA", "fr-CA"),
        ("zh-Hant-TW", "en"),
        ("tlh", "en"),
        ("xx-nonsense", "en"),
    ],
)
def test_who_reads_another_language_is_written_to_in_english(tag: str, language: str) -> None:
    letter = write(an_occasion(locale=tag))

    assert letter.language == language


@pytest.mark.parametrize(
    ("zone", "shown"),
    [
        ("America/New_York", "Monday, March 9, 2026, 11:00 AM (Eastern Daylight Time)"),
        ("Asia/Kolkata", "Monday, March 9, 2026, 8:30 PM (GMT+05:30, Kolkata)"),
        ("Asia/Tokyo", "Tuesday, March 10, 2026, 12:00 AM (Japan Standard Time)"),
        ("Not/AZone", "Monday, March 9, 2026, 3:00 PM (Coordinated Universal Time)"),
    ],
)
def test_times_are_the_reader_s_own_and_name_their_zone(zone: str, shown: str) -> None:
    letter = write(an_occasion(zone=zone))

    assert shown in letter.text


def test_the_zone_that_is_named_is_the_one_of_that_day() -> None:
    summer = STARTS_AT + timedelta(days=90)

    winter_letter = write(an_occasion(zone="Europe/Berlin"))
    summer_letter = write(an_occasion(zone="Europe/Berlin", starts_at=summer))

    assert "Central European Standard Time" in winter_letter.text
    assert "Central European Summer Time" in summer_letter.text


@pytest.mark.parametrize("name", ["Europe", "", "../etc/passwd", "Nowhere/Land", "a\x00b"])
def test_what_is_no_zone_reads_as_utc(name: str) -> None:
    assert zone_of(name).utcoffset(datetime(2026, 3, 9, tzinfo=UTC)) == timedelta(0)


@given(st.text(max_size=80))
def test_one_line_is_one_line_and_stays_as_it_is(text: str) -> None:
    line = one_line(text)

    assert line.splitlines() in ([], [line])
    assert one_line(line) == line


@given(st.text(alphabet=string.ascii_letters + "<>&\"'{}%\r\n", min_size=1, max_size=40))
def test_no_name_can_change_the_page(name: str) -> None:
    plain = write(an_occasion())
    letter = write(replace(an_occasion(), counterpart=name, center=name, programme=name))

    assert letter.html.count("<") == plain.html.count("<")
    assert len(letter.subject.splitlines()) == 1
