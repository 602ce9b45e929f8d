"""How each CSV column is written, and what it becomes.

Lists are separated by `|`. Dates are `2026-01-31`, instants RFC 3339 or a date (midnight UTC).
"""

import re
from collections.abc import Callable, Mapping
from datetime import date
from typing import Any, Final

from oncomentor_client.row import nearest, problem, shown
from oncomentor_contracts.receipt import Problem

_DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_HOURS: Final = re.compile(
    r"([A-Za-z]+)\s+(\d{1,2}:\d{2})\s*[-–]\s*(\d{1,2}:\d{2})"
)  # some programs turn the hyphen into an en dash
_MENTOR: Final = {
    "capacity": "capacity",
    "minutes": "protected_minutes_month",
    "years": "years_mentoring",
}
_MENTEE: Final = {"wanted": "wanted_mentors", "urgency": "urgency"}


class CellError(ValueError):
    """A cell isn't written as its column wants it."""

    def __init__(self, message: str, fix: str, suggestions: tuple[str, ...] = ()) -> None:
        """Keep what the problem of the row is made of."""
        super().__init__(message)
        self._fix = fix
        self._suggestions = suggestions

    def problem(self, column: str) -> Problem:
        """Return the problem, in that column."""
        return problem(column, "cell_format", str(self), self._fix, self._suggestions)


def text(cell: str) -> str:
    """Return the cell as it is; numbers are read by the contract."""
    return cell


def words(cell: str) -> list[str]:
    """Return `a|b` as a list; empty parts don't count."""
    return [part.strip() for part in cell.split("|") if part.strip()]


def instant(cell: str) -> str:
    """Return an instant; a bare date means its midnight in UTC."""
    return f"{cell}T00:00:00Z" if re.fullmatch(r"\d{4}-\d{2}-\d{2}", cell) else cell


def weekly_hours(cell: str) -> list[dict[str, Any]]:
    """Return `Mon 09:00-11:00|Thu 14:00-16:00`, in the zone of the profile."""
    return [_hours(part) for part in words(cell)]


def mentor_roles(cell: str) -> list[dict[str, Any]]:
    """Return `programme:goal+goal;capacity=2;minutes=120;years=5|…`; what follows `;` is optional."""
    return [_role(part, "offers", _MENTOR) for part in words(cell)]


def mentee_roles(cell: str) -> list[dict[str, Any]]:
    """Return `programme:goal+goal;wanted=1;urgency=soon|…`; what follows `;` is optional."""
    return [_role(part, "goals", _MENTEE) for part in words(cell)]


def training(cell: str) -> list[dict[str, Any]]:
    """Return `code@completed` or `code@completed..valid until`, dates such as 2026-01-31."""
    return [_training(part) for part in words(cell)]


def consents(cell: str) -> list[dict[str, Any]]:
    """Return `purpose@text version@given` or `purpose@text version@given@withdrawn`."""
    return [_consent(part) for part in words(cell)]


Cell = Callable[[str], Any]
REQUIRED: Final = (
    "local_id", "profile.profession", "profile.languages", "profile.time_zone",
    "contact.display_name", "contact.email",
)  # fmt: skip
CELLS: Final[Mapping[str, Cell]] = {
    "local_id": text,
    "profile.profession": text,
    "profile.career_stage": text,
    "profile.degrees": words,
    "profile.languages": words,
    "profile.time_zone": text,
    "profile.modalities": words,
    "profile.communication_styles": words,
    "profile.topics": words,
    "profile.methods": words,
    "profile.unit_key": text,
    "profile.lab_key": text,
    "profile.reporting_line_keys": words,
    "profile.evaluated_unit_keys": words,
    "profile.blocked_person_ids": words,
    "profile.identity_tokens": words,
    "profile.conflict_tokens": words,
    "profile.training": training,
    "profile.weekly_hours": weekly_hours,
    "profile.consents": consents,
    "profile.mentor_roles": mentor_roles,
    "profile.mentee_roles": mentee_roles,
    "profile.state": text,
    "contact.display_name": text,
    "contact.email": text,
    "contact.email_confirmed_at": instant,
    "contact.phone": text,
    "contact.pronouns": text,
    "contact.locale": text,
    "contact.own_words": text,
    "survivor.cancer_type": text,
    "survivor.treatments": words,
    "survivor.age_band_at_diagnosis": text,
    "survivor.years_since_treatment": text,
    "survivor.family_situation": words,
    "survivor.concerns": words,
    "survivor.readiness": text,
    "local.unit": text,
    "local.lab": text,
    "local.reporting_lines": words,
    "local.evaluated_units": words,
    "local.blocked": words,
}
"""Every column there is, and how its cells are read."""


def _hours(part: str) -> dict[str, Any]:
    found = _HOURS.fullmatch(part)
    if found is None:
        raise CellError(f"'{shown(part)}' is no weekly hour", "Write it as Mon 09:00-11:00.")
    day = found[1][:3].capitalize()
    if day not in _DAYS:
        raise CellError(
            f"'{found[1]}' is no weekday", "Use Mon Tue Wed Thu Fri Sat Sun.", nearest(day, _DAYS)
        )
    ends = "00:00" if found[3] == "24:00" else found[3].zfill(5)
    return {"weekday": _DAYS.index(day) + 1, "starts": found[2].zfill(5), "ends": ends}


def _role(part: str, goals: str, options: Mapping[str, str]) -> dict[str, Any]:
    head, *given = part.split(";")
    programme, _, listed = head.partition(":")
    role: dict[str, Any] = {"programme_id": programme.strip()}
    role[goals] = [one.strip() for one in listed.split("+") if one.strip()]
    for option in given:
        name, equals, value = (one.strip() for one in option.partition("="))
        if name not in options or not equals or not value:
            raise CellError(
                f"'{shown(option)}' is not understood after the goals of a role",
                f"Write {' or '.join(f'{one}=…' for one in options)}.",
                nearest(name, options),
            )
        role[options[name]] = value
    return role


def _training(part: str) -> dict[str, Any]:
    code, _, dates = part.partition("@")
    completed, _, until = dates.partition("..")
    record = {"code": code.strip(), "completed_on": _date(completed, part)}
    return record | ({"valid_until_on": _date(until, part)} if until else {})


def _date(word: str, part: str) -> str:
    try:
        return date.fromisoformat(word.strip()).isoformat()
    except ValueError:
        raise CellError(
            f"'{shown(part)}' is no training record",
            "Write it as code@2026-01-31 or code@2026-01-31..2028-01-31.",
        ) from None


def _consent(part: str) -> dict[str, Any]:
    match [one.strip() for one in part.split("@")]:
        case [purpose, version, given]:
            return {"purpose": purpose, "text_version": version, "given_at": instant(given)}
        case [purpose, version, given, withdrawn]:
            return {
                "purpose": purpose,
                "text_version": version,
                "given_at": instant(given),
                "withdrawn_at": instant(withdrawn),
            }
    raise CellError(f"'{shown(part)}' is no consent", "Write it as matching@2026-01@2026-01-31.")
