"""Synthetic data for a schema: the same on every run, coherent, made of terms that exist."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

from oncomentor_contracts.identifiers import derived_id
from schemas import Schema

NOW: Final = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
CENTER: Final = "north-cancer-center"
_PARTNER: Final = "south-cancer-center"
_PROGRAMME: Final = "early-career-research"
_HOURS_AHEAD: Final = {
    "clear_by": 72,
    "respond_by": 72,
    "session_starts_at": 49,
    "starts_at": 49,
}
"""Of instants that lie ahead; the others are now."""
_TERMS: Final = {
    "career_stage": "early_career",
    "communication_style": "structured",
    "country": "PT",
    "degree": "md_phd",
    "goal": "grant_writing",
    "language": "pt",
    "method": "clinical_trial",
    "profession": "medical_oncologist",
    "topic": "melanoma",
    "training": "mentor_basics",
    "zone": "Europe/Lisbon",
}
_ALWAYS: Final = frozenset({"consents"})
"""Optional to the schema, but nobody is taken in without."""


def identifier(name: str) -> UUID:
    """Return the id that a field of this name has in every sample."""
    return derived_id("synthetic", name)


def _consent(purpose: str) -> Mapping[str, str]:
    return {"purpose": purpose, "text_version": "2026-01", "given_at": "2026-02-16T10:00:00Z"}


def _person(half: str, **more: object) -> Mapping[str, object]:
    center = {"mentor": CENTER, "mentee": _PARTNER}[half]
    return {"person_id": str(identifier(half)), "institution_id": center, **more}


def _contribution(criterion: str, weight: float, value: float, reason: str) -> Mapping[str, object]:
    points = round(weight * value, 6)
    return {
        "criterion": criterion,
        "weight": weight,
        "value": value,
        "points": points,
        "reason": reason,
    }


_BY_NAME: Final[Mapping[str, object]] = {
    "about": str(identifier("person_id")),
    "attendees": [
        _person("mentor", side="mentor", time_zone="Europe/Lisbon"),
        _person("mentee", side="mentee", time_zone="Asia/Tokyo"),
    ],
    "capacity": 2,
    "consents": [_consent("matching"), _consent("survivor_data")],
    "contributions": [
        _contribution("goals", 0.6, 0.9, "the mentor offers grant_writing"),
        _contribution("topics", 0.4, 0.7, "both work on melanoma"),
    ],
    "counterpart_institution_id": _PARTNER,
    "duration_minutes": 60,
    "event_type": "person.submitted.v1",
    "ical_uid": f"{identifier('session_id')}@oncomentor.invalid",
    "max_profile_age_days": 365,
    "mentee": _person("mentee", profile_version=1),
    "mentee_roles": [{"programme_id": "leadership-ladder", "goals": ["team_leadership"]}],
    "mentor": _person("mentor", profile_version=3),
    "message_id": f"<{identifier('delivery_id')}@mail.invalid>",
    "name": "North Cancer Center (synthetic)",
    "owner": CENTER,
    "participants": [CENTER, _PARTNER],
    "partners_allowed": [_PARTNER],
    "partners_refused": ["east-cancer-center"],
    "problems": [
        {
            "field": "profile.topics[0]",
            "rule": "unknown_code",
            "message": "'melanomas' is not in the vocabulary topic",
            "fix": "use melanoma, or another code of the vocabulary topic",
            "suggestions": ["melanoma"],
        }
    ],
    "protected_minutes_month": 240,
    "programme_id": _PROGRAMME,
    "purpose": "survivor",
    "reader": "matching",
    "reasons": ["the mentor offers grant_writing", "both work on melanoma"],
    "receipt_for": str(identifier("event_id")),
    "score": 0.82,
    "rules": [{"rule": "shared-language", "fact": "both speak pt"}],
    "url": "https://meet.invalid/synthetic",
    "version": 3,
    "weekly_hours": [{"weekday": 1, "starts": "09:00:00", "ends": "12:30:00"}],
    "weights": [{"criterion": "goals", "weight": 0.6}, {"criterion": "topics", "weight": 0.4}],
    "years_mentoring": 6,
}


@dataclass(frozen=True)
class Filler:
    """Fills a reader's schema; `full` with every field, otherwise with what it asks for."""

    document: Schema
    full: bool

    def data(self) -> dict[str, Any]:
        """Return data that the schema's model takes and `validation` finds nothing wrong with."""
        return self._object(self.document)

    def _object(self, schema: Schema) -> dict[str, Any]:
        asked = _ALWAYS | set(schema.get("required", []))
        return {
            name: self._value(part, name)
            for name, part in schema["properties"].items()
            if self.full or name in asked
        }

    def _value(self, schema: Schema, name: str) -> object:
        if name in _BY_NAME:
            return _BY_NAME[name]
        default, schema = schema.get("default"), self._plain(schema)
        match schema.get("type"):
            case "object":
                return self._object(schema)
            case "array":
                return [self._value(schema["items"], name)] * max(1, schema.get("minItems", 0))
            case "integer" | "number":
                return default or max(1, schema.get("minimum", 0))
            case "boolean":
                return True
            case _:
                return _text(schema, name)

    def _plain(self, schema: Schema) -> Schema:
        """Return the schema without its references and its null."""
        if "$ref" in schema:
            return self._plain(self.document["$defs"][schema["$ref"].removeprefix("#/$defs/")])
        if "anyOf" in schema:
            return self._plain(next(s for s in schema["anyOf"] if s.get("type") != "null"))
        return schema


def _text(schema: Schema, name: str) -> str:
    if "x-known-values" in schema:
        return str(schema["x-known-values"][0])
    if schema.get("format") == "uuid":
        return str(identifier(name))
    if schema.get("format") == "date-time":
        later = NOW + timedelta(hours=_HOURS_AHEAD.get(name, 0))
        return later.isoformat().replace("+00:00", "Z")
    if schema.get("format") == "date":
        return "2027-01-15" if name.startswith("valid_until") else "2026-01-15"
    if "x-vocabulary" in schema:
        return _TERMS[schema["x-vocabulary"]]
    return str(schema.get("examples", ["synthetic"])[0])
