"""Where Maven artifacts come from on this machine.

No address stands in this repository: the usual one is jgo's, others are the user's settings.
"""

from pathlib import Path
from xml.etree import ElementTree

from jgo.config import GlobalSettings
from jgo.constants import MAVEN_CENTRAL_URL

_CENTRAL_ID = "central"


def repositories(settings: Path | None = None) -> tuple[str, ...]:
    """Return the addresses to fetch from, best first.

    A mirror of the central repository in Maven's own settings takes its place; repositories in
    jgo's settings follow.
    """
    mirror = _mirror(settings or Path.home() / ".m2" / "settings.xml")
    more = GlobalSettings.load().repositories.values()
    return tuple(dict.fromkeys([mirror or MAVEN_CENTRAL_URL, *more]))


def _mirror(settings: Path) -> str | None:
    """Return the mirror of the central repository that Maven would use.

    Source: Maven, "Using Mirrors for Repositories": `mirrorOf` lists ids, `*` and `external:*`
    mean all, `!id` excludes one.
    """
    if not settings.is_file():
        return None
    try:
        tree = ElementTree.parse(settings)  # noqa: S314 - the user's own settings
    except ElementTree.ParseError:
        return None
    for mirror in tree.iterfind(".//{*}mirror"):
        of = (mirror.findtext("{*}mirrorOf") or "").replace(" ", "").split(",")
        if f"!{_CENTRAL_ID}" not in of and {"*", "external:*", _CENTRAL_ID} & set(of):
            return (mirror.findtext("{*}url") or "").strip() or None
    return None
