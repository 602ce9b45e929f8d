"""Take the lists of languages, scripts, countries and regions out of Babel's copy of the CLDR.

Run by hand when Babel is upgraded; the lists are committed, since the package itself depends on
Pydantic alone: `python contracts/tools/languages.py`.
"""

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal

from babel import Locale, __version__
from babel.core import get_global

DATA = Path(__file__).parents[1] / "src" / "oncomentor_contracts" / "data"
NO_LANGUAGE = frozenset({"mul", "root", "und", "zxx", "mis"})
"""Words of ISO 639 for "several", "undetermined" and the like: nobody speaks them."""
PSEUDO_REGION = frozenset({"XA", "XB", "ZZ"})
"""The CLDR's own codes for tests and for the unknown."""
NOT_IN_ISO_3166 = frozenset({"AC", "CP", "CQ", "DG", "EA", "EU", "EZ", "IC", "QO", "TA", "UN"})
"""Two-letter codes that are reserved or grouped, so that no institution lies in one. XK (Kosovo)
is user-assigned as well, and stays: there is no other code for its centers."""


def main() -> None:
    """Write the four lists."""
    english = Locale("en")
    _write(
        "language",
        {c: n for c, n in english.languages.items() if re.fullmatch("[a-z]{2,3}", c)},
        without=NO_LANGUAGE,
        synonyms=_other_codes("language_aliases"),
    )
    _write("script", english.scripts, without=frozenset({"Zxxx", "Zzzz", "Zyyy"}))
    regions = english.territories
    countries = {c: n for c, n in regions.items() if c.isalpha() and c not in NOT_IN_ISO_3166}
    _write("country", countries, without=PSEUDO_REGION, synonyms=_other_codes("territory_aliases"))
    others = {c: n for c, n in regions.items() if c not in countries}
    _write("region", others, without=PSEUDO_REGION)


def _other_codes(
    aliases: Literal["language_aliases", "territory_aliases"],
) -> Mapping[str, list[str]]:
    """Return each code's withdrawn, three-letter and numeric ones, such as `por` of `pt`.

    A code that was split (`SU`) stands for none of its heirs.
    """
    others = defaultdict(list)
    for alias, codes in sorted(get_global(aliases).items()):
        if isinstance(codes, str) or len(codes) == 1:
            others[codes if isinstance(codes, str) else codes[0]].append(alias)
    return others


def _write(
    name: str,
    names: Mapping[str, str],
    *,
    without: Iterable[str],
    synonyms: Mapping[str, list[str]] | None = None,
) -> None:
    lines = [
        json.dumps(
            {"code": code, "name": text, "synonyms": (synonyms or {}).get(code, [])},
            ensure_ascii=False,
        )
        for code, text in sorted(names.items())
        if code not in set(without)
    ]
    (DATA / f"{name}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(f"{name}: {len(lines)} terms of the CLDR in Babel {__version__}")


if __name__ == "__main__":
    main()
