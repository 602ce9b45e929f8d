"""Synthetic people for tests: rows of a center's file, with defaults that match."""

from typing import Any

Row = dict[str, Any]

EVENINGS = [{"weekday": day, "starts": "08:00", "ends": "20:00"} for day in range(1, 6)]


def a_mentor(local_id: str, programme_id: str, **profile: Any) -> Row:
    """Return the row of a mentor; `profile` changes its coded profile."""
    role = {"programme_id": programme_id, "offers": ["grant_writing"], "capacity": 1}
    return _a_person(local_id, {"mentor_roles": [role]} | profile)


def a_mentee(local_id: str, programme_id: str, **profile: Any) -> Row:
    """Return the row of a mentee; `profile` changes its coded profile."""
    role = {"programme_id": programme_id, "goals": ["grant_writing"]}
    return _a_person(local_id, {"mentee_roles": [role]} | profile)


def _a_person(local_id: str, profile: dict[str, Any]) -> Row:
    consents = [
        {"purpose": purpose, "text_version": "2026-01", "given_at": "2026-01-05T09:00:00Z"}
        for purpose in ("matching", "contact_on_match")
    ]
    return {
        "local_id": local_id,
        "profile": {
            "profession": "medical_oncologist",
            "languages": ["en"],
            "time_zone": "Europe/Lisbon",
            "weekly_hours": EVENINGS,
            "consents": consents,
        }
        | profile,
        "contact": {
            "display_name": f"Person {local_id} (synthetic)",
            "email": f"{local_id}@people.invalid",
            "email_confirmed_at": "2026-01-05T09:00:00Z",
        },
    }
