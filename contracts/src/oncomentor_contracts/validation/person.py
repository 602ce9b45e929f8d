"""A submitted person: the coded profile, the sealed contact and the sealed survivor block."""

from collections.abc import Collection, Iterator
from datetime import date, datetime, time, timedelta
from typing import Final
from unicodedata import category

from oncomentor_contracts.profile import (
    CodedProfile,
    ContactBlock,
    PersonSubmitted,
    Purpose,
    SurvivorBlock,
    WeeklyHours,
)
from oncomentor_contracts.receipt import Problem
from oncomentor_contracts.validation.rules import first, problem, repeated, word_problems
from oncomentor_contracts.vocabulary import is_language, nearest

_GRACE: Final = timedelta(days=1)  # it may be tomorrow already where the person is
_BREAKING: Final = frozenset({"Cc", "Zl", "Zp"})
"""Unicode's controls and line breaks. Its format characters (Cf) stay: Persian is written with them."""


def person_problems(
    person: PersonSubmitted, *, today: date, programme_ids: Collection[str] | None = None
) -> list[Problem]:
    """Return what is wrong with a submitted person; empty where nothing is.

    `today` judges days that cannot lie ahead. `programme_ids` are the programmes that exist;
    without them a role's programme is not looked up.
    """
    profile = person.profile
    return first(
        word_problems(person),
        _bad_consents(person, today),
        _bad_training(profile, today),
        _bad_hours(profile.weekly_hours),
        _overlaps(profile.weekly_hours),
        _bad_roles(profile),
        _unknown_programmes(profile, programme_ids),
        _blocked_self(person),
    )


def contact_problems(contact: ContactBlock) -> list[Problem]:
    """Return what is wrong with a contact; no problem repeats anything that the contact says."""
    return first(_bad_locale(contact), _control_characters(contact))


def survivor_problems(survivor: SurvivorBlock) -> list[Problem]:
    """Return what is wrong with a survivor's block.

    A problem may name a code of the block: tell it to the center that sent it and to no one else.
    """
    return first(word_problems(survivor))


def consents_to(profile: CodedProfile, purpose: Purpose) -> bool:
    """Tell whether the person has given a consent for the purpose and not withdrawn it."""
    return any(c.purpose is purpose and c.withdrawn_at is None for c in profile.consents)


def _bad_consents(person: PersonSubmitted, today: date) -> Iterator[Problem]:
    if not consents_to(person.profile, Purpose.MATCHING):
        yield problem(
            "profile.consents",
            "consent_missing",
            "the person's consent to matching is missing or withdrawn",
            "send the consent with purpose matching; if it was withdrawn, say person.withdrawn.v1",
        )
    if person.sealed_survivor and not consents_to(person.profile, Purpose.SURVIVOR_DATA):
        yield problem(
            "sealed_survivor",
            "consent_missing",
            "a survivor block needs the person's consent to survivor_data",
            "send the consent with purpose survivor_data, or leave the block out",
        )
    for index, consent in enumerate(person.profile.consents):
        path = f"profile.consents[{index}]"
        yield from _ahead(f"{path}.given_at", consent.given_at, today)
        if consent.withdrawn_at is not None and consent.withdrawn_at < consent.given_at:
            yield problem(
                f"{path}.withdrawn_at",
                "ends_before_start",
                "lies before given_at",
                "give the moment of the withdrawal, or leave it out",
            )


def _bad_training(profile: CodedProfile, today: date) -> Iterator[Problem]:
    for index, record in enumerate(profile.training):
        path = f"profile.training[{index}]"
        yield from _ahead(f"{path}.completed_on", record.completed_on, today)
        if record.valid_until_on is not None and record.valid_until_on < record.completed_on:
            yield problem(
                f"{path}.valid_until_on",
                "ends_before_start",
                "lies before completed_on",
                "give the last day of validity, or leave it out",
            )


def _ahead(path: str, moment: date | datetime, today: date) -> Iterator[Problem]:
    day = moment.date() if isinstance(moment, datetime) else moment
    if day > today + _GRACE:
        yield problem(
            path, "in_the_future", "lies in the future", "give the day on which it happened"
        )


def _bad_hours(hours: tuple[WeeklyHours, ...]) -> Iterator[Problem]:
    for index, each in enumerate(hours):
        if _seconds(each)[1] <= _seconds(each)[0]:
            yield problem(
                f"profile.weekly_hours[{index}].ends",
                "ends_before_start",
                "is not later than starts",
                "end later on the same day (00:00 is its end) and put the rest on the next day",
            )


def _overlaps(hours: tuple[WeeklyHours, ...]) -> Iterator[Problem]:
    in_order = sorted(range(len(hours)), key=lambda i: (hours[i].weekday, hours[i].starts))
    busy: tuple[int, float, int] | None = None  # weekday, end and index of what reaches furthest
    for index in in_order:
        weekday, (start, end) = hours[index].weekday, _seconds(hours[index])
        if busy and busy[0] == weekday and start < busy[1]:
            yield problem(
                f"profile.weekly_hours[{index}]",
                "overlap",
                f"overlaps profile.weekly_hours[{busy[2]}] on the same day",
                "join the two into one, or part them",
            )
        if busy is None or busy[0] != weekday or end > busy[1]:
            busy = (weekday, end, index)


def _seconds(hours: WeeklyHours) -> tuple[float, float]:
    end = timedelta(days=1).total_seconds() if hours.ends == time(0) else _of_day(hours.ends)
    return _of_day(hours.starts), end


def _of_day(value: time) -> float:
    return timedelta(
        hours=value.hour,
        minutes=value.minute,
        seconds=value.second,
        microseconds=value.microsecond,
    ).total_seconds()


def _bad_roles(profile: CodedProfile) -> Iterator[Problem]:
    mentor_in = [role.programme_id for role in profile.mentor_roles]
    mentee_in = [role.programme_id for role in profile.mentee_roles]
    for path, programmes in (("mentor_roles", mentor_in), ("mentee_roles", mentee_in)):
        for place, before in repeated(f"profile.{path}", "programme_id", programmes):
            yield problem(
                place,
                "duplicate_role",
                f"stands already in profile.{path}[{before}]",
                "send one role for each programme",
            )
    mentored = frozenset(mentor_in)
    for index, programme_id in enumerate(mentee_in):
        if programme_id in mentored:
            yield problem(
                f"profile.mentee_roles[{index}].programme_id",
                "both_sides",
                "the person is a mentor in this programme already",
                "choose one side for each programme",
            )


def _unknown_programmes(
    profile: CodedProfile, programme_ids: Collection[str] | None
) -> Iterator[Problem]:
    if programme_ids is None:
        return
    roles = [
        *(
            (f"profile.mentor_roles[{i}]", r.programme_id)
            for i, r in enumerate(profile.mentor_roles)
        ),
        *(
            (f"profile.mentee_roles[{i}]", r.programme_id)
            for i, r in enumerate(profile.mentee_roles)
        ),
    ]
    for place, programme_id in roles:
        if programme_id not in programme_ids:
            yield problem(
                f"{place}.programme_id",
                "unknown_programme",
                f"there is no programme '{programme_id}'",
                "use the id of a programme that the center takes part in",
                nearest(programme_id, programme_ids),
            )


def _blocked_self(person: PersonSubmitted) -> Iterator[Problem]:
    for index, blocked in enumerate(person.profile.blocked_person_ids):
        if blocked == person.person_id:
            yield problem(
                f"profile.blocked_person_ids[{index}]",
                "blocks_self",
                "is the person's own id",
                "leave it out",
            )


def _bad_locale(contact: ContactBlock) -> Iterator[Problem]:
    if not is_language(contact.locale):
        yield problem(
            "locale",
            "unknown_language",
            "is no language that the network knows",
            "use a BCP 47 tag such as pt or pt-BR",
        )


def _control_characters(contact: ContactBlock) -> Iterator[Problem]:
    # They end up in the headers of a mail, where a line break begins another header.
    for name in ("display_name", "phone", "pronouns"):
        text: str | None = getattr(contact, name)
        if text is not None and any(category(each) in _BREAKING for each in text):
            yield problem(
                name,
                "control_character",
                "holds a line break or another control character",
                "write it on one line",
            )
