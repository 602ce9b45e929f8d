"""The words that coded profiles are written in: which exist, what they are near to.

Every list is a data file of this package (`data/ATTRIBUTION.md` says where each comes from). It
is read at first use and kept.
"""

import difflib
import json
import re
import tomllib
import zoneinfo
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.resources import files
from itertools import chain
from types import MappingProxyType
from typing import Any, Final

ORDERED: Final = frozenset({"age_band", "career_stage"})
"""Vocabularies whose `Term.order` is a rank, so that a distance between two terms means something."""
NAMES: Final = (
    "age_band", "career_stage", "communication_style", "concern", "country", "degree",
    "family_situation", "goal", "language", "method", "oncotree", "profession", "region",
    "script", "topic", "training", "treatment", "zone",
)  # fmt: skip

_CLDR: Final = frozenset({"country", "language", "region", "script"})
_ONCOTREE_ROOT: Final = "TISSUE"  # the tree's trunk, no tumour type that anyone has
_LONGEST: Final = 120  # characters compared for a suggestion; the longest name has 107
_SHORT: Final = 2  # characters that stand in too many words to mean one of them
_TYPO: Final = 0.85  # difflib ratio above which a word is the other, misspelt
_CLOSE: Final = 0.6  # and below which the two are not alike
_TAG: Final = re.compile(
    r"(?P<language>[a-z]{2,3})(-(?P<extended>[A-Za-z]{3}))?(-(?P<script>[A-Za-z]{4}))?"
    r"(-(?P<region>[A-Za-z]{2}|[0-9]{3}))?(-([A-Za-z0-9]{5,8}|[0-9][A-Za-z0-9]{3}))*"
)


@dataclass(frozen=True, slots=True)
class Term:
    """One word of a vocabulary.

    `order` counts the vocabulary's terms from 0, parents before children; in an `ORDERED` one it
    is the rank. `synonyms` are other spellings that a suggestion is found by, never codes.
    """

    code: str
    name: str
    parent: str | None
    order: int
    synonyms: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Unknown:
    """A code that its vocabulary does not have, with the nearest that it has, best first."""

    vocabulary: str
    code: str
    suggestions: tuple[str, ...]


@cache
def known(name: str) -> Mapping[str, Term]:
    """Return a vocabulary's terms by code, in their order; always the same mapping.

    Raises:
        KeyError: there is no such vocabulary (`NAMES` has them all).
    """
    if name not in NAMES:
        raise KeyError(name)

    rows = [row for row in _rows(name) if row["code"] != _ONCOTREE_ROOT]
    return MappingProxyType({row["code"]: _term(row, order) for order, row in enumerate(rows)})


def check(name: str, code: str) -> Unknown | None:
    """Return None where the vocabulary has the code (case counts), else what is nearest to it.

    Raises:
        KeyError: there is no such vocabulary.
    """
    if code in known(name):
        return None
    return Unknown(name, code, suggest(name, code))


@lru_cache(maxsize=4096)
def suggest(name: str, code: str, n: int = 3) -> tuple[str, ...]:
    """Return up to `n` codes whose code, name or synonym is nearest to `code`, nearest first.

    Case, and whether words are joined by spaces, hyphens or underscores, do not count. Empty
    where nothing is alike.

    Raises:
        KeyError: there is no such vocabulary.
    """
    return _nearest(code, _spellings(name), n)


def nearest(word: str, words: Iterable[str], n: int = 3) -> tuple[str, ...]:
    """Return up to `n` of `words` that are nearest to `word`, nearest first, as `suggest` does."""
    return _nearest(word, _by_spelling((each, each) for each in words), n)


@lru_cache(maxsize=4096)
def ancestors(name: str, code: str) -> tuple[str, ...]:
    """Return the codes above `code`, nearest first; empty for a top term and for a flat list.

    Raises:
        KeyError: there is no such vocabulary, or it has no such code.
    """
    parent = known(name)[code].parent
    return () if parent is None else (parent, *ancestors(name, parent))


def is_language(tag: str) -> bool:
    """Tell whether a BCP 47 tag names a language (and script and region) that exists.

    The language is in lower case and in its shortest code (`pt`, never `por`), the script and
    the region in any case; variants are held to their form alone.

    Source: RFC 5646, section 2.1; lists of the Unicode CLDR.
    """
    match = _TAG.fullmatch(tag)
    if match is None:
        return False
    languages = {match["language"], (match["extended"] or match["language"]).lower()}
    region = (match["region"] or "001").upper()
    return (
        languages <= known("language").keys()
        and (match["script"] or "Latn").title() in known("script")
        and (region in known("country") or region in known("region"))
    )


def is_zone(name: str) -> bool:
    """Tell whether the machine's IANA tz database has a zone of this name (case counts)."""
    return name in known("zone")


def is_country(code: str) -> bool:
    """Tell whether a code is an ISO 3166-1 alpha-2 code of a country or territory (or `XK`)."""
    return code in known("country")


def _nearest(word: str, spellings: Mapping[str, tuple[str, ...]], n: int) -> tuple[str, ...]:
    wanted = _folded(word[:_LONGEST])
    exact = [wanted] if wanted in spellings else []
    typos = difflib.get_close_matches(wanted, spellings, n=n, cutoff=_TYPO)
    within = sorted((s for s in spellings if len(wanted) > _SHORT and wanted in s), key=len)
    alike = difflib.get_close_matches(wanted, spellings, n=n, cutoff=_CLOSE)
    found = (code for s in (*exact, *typos, *within, *alike) for code in spellings[s])
    return tuple(dict.fromkeys(found))[:n]


def _rows(name: str) -> Iterable[Mapping[str, Any]]:
    if name == "zone":
        return [{"code": zone, "name": zone} for zone in sorted(zoneinfo.available_timezones())]
    if name == "oncotree" or name in _CLDR:
        lines = _text(f"{name}.jsonl").splitlines()
        rows: list[Mapping[str, Any]] = json.loads(f"[{','.join(lines)}]")
        return rows
    terms: list[Mapping[str, Any]] = tomllib.loads(_text(f"{name}.toml"))["terms"]
    return terms


def _term(row: Mapping[str, Any], order: int) -> Term:
    parent = row.get("parent")
    # OncoTree's "main type" is what people call a group of its types: a spelling to find them by.
    main_type = row.get("main_type")
    return Term(
        code=row["code"],
        name=row["name"],
        parent=None if parent == _ONCOTREE_ROOT else parent,
        order=order,
        synonyms=(main_type,) if main_type else tuple(row.get("synonyms", ())),
    )


def _text(file_name: str) -> str:
    return (files("oncomentor_contracts") / "data" / file_name).read_text(encoding="utf-8")


@cache
def _spellings(name: str) -> Mapping[str, tuple[str, ...]]:
    """Return the codes that each folded spelling stands for: own codes first, then names."""
    terms = known(name).values()
    return _by_spelling(chain(_codes(terms), _names(terms), _synonyms(terms)))


def _by_spelling(spelled: Iterable[tuple[str, str]]) -> Mapping[str, tuple[str, ...]]:
    codes: dict[str, dict[str, None]] = defaultdict(dict)
    for spelling, code in spelled:
        codes[_folded(spelling)][code] = None
    return {spelling: tuple(found) for spelling, found in codes.items()}


def _codes(terms: Iterable[Term]) -> Iterator[tuple[str, str]]:
    return ((term.code, term.code) for term in terms)


def _names(terms: Iterable[Term]) -> Iterator[tuple[str, str]]:
    for term in terms:
        yield term.name, term.code
        yield term.name.rpartition("/")[2], term.code  # `Lisbon` of `Europe/Lisbon`


def _synonyms(terms: Iterable[Term]) -> Iterator[tuple[str, str]]:
    return ((synonym, term.code) for term in terms for synonym in term.synonyms)


def _folded(text: str) -> str:
    return " ".join(re.split(r"[\s_/-]+", text.casefold().strip()))
