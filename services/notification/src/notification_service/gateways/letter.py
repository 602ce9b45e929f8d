"""What a message says, in the reader's language and time zone."""

import tomllib
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from importlib.resources import files
from typing import Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from babel import Locale, UnknownLocaleError
from babel.dates import format_date, format_skeleton, format_time, get_timezone_name
from jinja2 import PackageLoader, StrictUndefined
from jinja2 import Template as Sentence
from jinja2.sandbox import ImmutableSandboxedEnvironment

from notification_service.domain.match import Side
from notification_service.domain.notice import Template

LANGUAGES: Final = ("de", "en", "es", "fr", "pt")
FALLBACK: Final = "en"
_PACKAGE: Final = "notification_service.gateways"
_PLAIN: Final = ImmutableSandboxedEnvironment(
    loader=PackageLoader(_PACKAGE, "layouts"), undefined=StrictUndefined, autoescape=False
)
_HTML: Final = ImmutableSandboxedEnvironment(
    loader=PackageLoader(_PACKAGE, "layouts"),
    undefined=StrictUndefined,
    autoescape=True,
    trim_blocks=True,
)
# A name must not end a header line, nor turn the direction of the text around it.
_DIRECTION_MARKS: Final = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


@dataclass(frozen=True, slots=True)
class Meeting:
    """The session a message is about."""

    starts_at: datetime
    duration_minutes: int
    link: str
    moved: bool


@dataclass(frozen=True, slots=True)
class Occasion:
    """Everything a message is written from; `zone` and `locale` are the reader's.

    `counterpart` is None where the reader may not know the name, `programme` where naming it
    could say something about a person's health.
    """

    template: Template
    side: Side
    locale: str
    zone: str
    name: str
    center: str
    counterpart: str | None
    counterpart_center: str
    programme: str | None
    respond_by: datetime | None = None
    meeting: Meeting | None = None


@dataclass(frozen=True, slots=True)
class Letter:
    """A message in words; `summary` is a calendar entry's title, where there is a session."""

    language: str
    subject: str
    text: str
    html: str
    summary: str | None


def one_line(text: str) -> str:
    """Return text without line ends, control characters and direction marks."""
    kept = (
        " " if unicodedata.category(c) in {"Cc", "Zl", "Zp"} else c
        for c in text
        if c not in _DIRECTION_MARKS
    )
    return " ".join("".join(kept).split())


def write(occasion: Occasion) -> Letter:
    """Return the message for an occasion, in the reader's language or else in English.

    Times are in the reader's zone and say which that is; an unknown zone reads as UTC. Names
    come out as one line each, so they cannot break a header or a layout.
    """
    locale = _locale(occasion.locale)
    texts = _catalogue(locale.language)
    common, own = texts["common"], _section(texts, occasion)
    said = _facts(occasion, locale, common)
    paragraphs = [_sentence(text, said) for text in own["paragraphs"]]
    parts = {
        "language": str(locale).replace("_", "-"),
        "subject": _sentence(own["subject"], said),
        "preview": _sentence(own["preview"], said),
        "greeting": _sentence(common["greeting"], said),
        "closing": _sentence(common["closing"], said),
        "footer": _sentence(common["footer"], said),
        "paragraphs": paragraphs,
        "facts": _table(said, common),
        "link": said["link"],
    }
    return Letter(
        language=str(parts["language"]),
        subject=str(parts["subject"]),
        text=_PLAIN.get_template("letter.txt").render(parts),
        html=_HTML.get_template("letter.html").render(parts),
        summary=_sentence(own["summary"], said) if occasion.meeting else None,
    )


def zone_of(name: str) -> ZoneInfo:
    """Return the zone of that name, or UTC where this machine knows none."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return ZoneInfo("UTC")


def _locale(tag: str) -> Locale:
    try:
        locale = Locale.parse(tag, sep="-")
    except (UnknownLocaleError, ValueError):
        return Locale.parse(FALLBACK)
    return locale if locale.language in LANGUAGES else Locale.parse(FALLBACK)


@lru_cache
def _catalogue(language: str) -> Mapping[str, Any]:
    return tomllib.loads(files(_PACKAGE).joinpath("texts", f"{language}.toml").read_text("utf-8"))


def _section(texts: Mapping[str, Any], occasion: Occasion) -> Mapping[str, Any]:
    section: Mapping[str, Any] = texts[occasion.template.value]
    if occasion.template is Template.MATCH_OFFERED:
        section = section[occasion.side.value]
    return section


def _facts(occasion: Occasion, locale: Locale, common: Mapping[str, str]) -> dict[str, Any]:
    zone = zone_of(occasion.zone)
    meeting, respond_by = occasion.meeting, occasion.respond_by
    starts_at = meeting.starts_at.astimezone(zone) if meeting else None
    return {
        "name": one_line(occasion.name),
        "center": one_line(occasion.center),
        "counterpart_center": one_line(occasion.counterpart_center),
        "partner": one_line(occasion.counterpart or "") or common["partner"],
        "programme": one_line(occasion.programme or ""),
        "respond_by": _moment(respond_by.astimezone(zone), locale) if respond_by else "",
        "when": _moment(starts_at, locale) if starts_at else "",
        "day": _day(starts_at, locale) if starts_at else "",
        "minutes": meeting.duration_minutes if meeting else 0,
        "link": meeting.link if meeting else "",
        "moved": bool(meeting and meeting.moved),
    }


def _moment(local: datetime, locale: Locale) -> str:
    day = format_date(local, "full", locale=locale)
    return f"{day}, {_clock(local, locale)} ({_zone_name(local, locale)})"


def _day(local: datetime, locale: Locale) -> str:
    day = format_skeleton("MMMEd", local, tzinfo=local.tzinfo, locale=locale)
    return f"{day}, {_clock(local, locale)}"


def _clock(local: datetime, locale: Locale) -> str:
    # A narrow space before AM would make a plain subject one that has to be encoded.
    clock = format_time(local, "short", tzinfo=local.tzinfo, locale=locale)
    return clock.replace("\u202f", " ")


def _zone_name(local: datetime, locale: Locale) -> str:
    """Return the zone's name on that day; where Babel has only an offset, with its city."""
    name = get_timezone_name(local, "long", locale=locale)
    if not any(c.isdigit() for c in name):
        return name
    city = str(local.tzinfo).rpartition("/")[2].replace("_", " ")
    return f"{name}, {city}"


def _table(said: Mapping[str, Any], common: Mapping[str, str]) -> list[tuple[str, str]]:
    rows = [
        (common["label_answer_by"], said["respond_by"]),
        (common["label_when"], said["when"]),
        (common["label_how_long"], said["minutes"] and _sentence(common["minutes"], said)),
        (common["label_where"], said["link"]),
    ]
    return [(label, value) for label, value in rows if value]


def _sentence(text: str, said: Mapping[str, Any]) -> str:
    return _compiled(text).render(said)


@lru_cache(maxsize=512)
def _compiled(text: str) -> Sentence:
    return _PLAIN.from_string(text)
