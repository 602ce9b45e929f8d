"""What is said of two people: how it stands between them, why, and in which words."""

from dataclasses import dataclass
from enum import StrEnum

from matching_service.domain.rules.book import Checked
from matching_service.domain.score import Score

NO_SCORE = "more than any score"
_MARGIN = (
    "Nothing speaks against these two by themselves: what decided is a lot, a floor that is just met,"
    " or others' seats that hang together with theirs."
)
_SMALL = 1e-9
_SHOWN = 0.0005  # what is less reads 0.000


class Status(StrEnum):
    """How it stands between two people."""

    MATCHED = "matched"
    NOT_AVAILABLE = "not available"
    RULES = "rules"
    """Something stands in the way that can be told."""
    UNSERVED = "unserved"
    """To match them would leave somebody else without a mentor, or a floor less met: no score counts for more."""
    ELSEWHERE = "elsewhere"
    """They may be matched, and more is gained by having them elsewhere."""
    MARGIN = "at the margin"
    """The prices say nothing against these two by themselves: what decided is a lot, a floor that is
    just met, or others' seats that hang together with theirs."""


@dataclass(frozen=True, slots=True)
class Potential:
    """What the score would be if one criterion fitted fully."""

    criterion: str
    score: float
    more: float


@dataclass(frozen=True, slots=True)
class Reason:
    """What one criterion gives."""

    criterion: str
    fits: str
    """How well they fit by it: little, partly, closely."""
    reason: str
    """Empty in the survivor lane where it has a figure."""


@dataclass(frozen=True, slots=True)
class Answer:
    """How it stands between two people, and why; what does not apply is empty."""

    status: Status
    rules: tuple[Checked, ...] = ()
    """Every rule with the fact that shows that it holds."""
    broken: tuple[tuple[str, str], ...] = ()
    """(rule, what has to be so for it to hold)."""
    score: Score | None = None
    """With the contributions that sum to it; None in the survivor lane."""
    fits: str = ""
    """How well they fit: little, partly, closely."""
    reasons: tuple[Reason, ...] = ()
    """Of every criterion that can be read, who gives most first."""
    lacks: float | None = None
    """By how much the score would have to be higher, at least; None in the survivor lane."""
    lacks_in_words: str = ""
    potentials: tuple[Potential, ...] = ()
    """What a better fit could give, the most first; empty in the survivor lane."""
    floor_points: float | None = None
    """How much more being served counts for each of the mentee's center, so that its floor is met
    (`margin.floor_price`); None in the survivor lane, and where it is more than any score."""
    floor_in_words: str = ""
    """The same; empty where it is nothing."""
    because_of_floor: bool | None = None
    """Whether the mentee is served because of the floors; None where that was not looked at."""
    lost_by_floor: bool | None = None
    """Whether they are not served because of the floors; None where that was not looked at."""
    has_ceiling: bool = False
    """Whether the mentee's center may have only so many served."""
    in_words: bool = False
    """The survivor lane: no number, no digit."""

    @property
    def sentences(self) -> tuple[str, ...]:
        """The answer in words, for a coordinator."""
        return _sentences(self)


def _sentences(answer: Answer) -> tuple[str, ...]:
    match answer.status:
        case Status.NOT_AVAILABLE:
            return ("Not available.",)
        case Status.RULES:
            return tuple(f"Possible once {remedy}." for _, remedy in answer.broken)
        case Status.UNSERVED:
            return (*_of_unserved(answer), *_of_floors(answer))
    lines = {
        Status.MARGIN: [_MARGIN],
        Status.ELSEWHERE: _of_elsewhere(answer),
    }.get(answer.status, [])
    return (_of_fit(answer), *lines, *_of_floors(answer))


def _of_fit(answer: Answer) -> str:
    fit = f"They fit by {answer.score.value:.2f}" if answer.score else f"They fit {answer.fits}"
    if not answer.reasons:
        return f"{fit}."
    best = answer.reasons[0]
    return f"{fit}, most of it by {best.criterion}{best.reason and ': '}{best.reason}."


def _of_unserved(answer: Answer) -> list[str]:
    too_many, higher = "", ""
    if answer.has_ceiling:
        too_many = " or more than its ceiling"
        higher = ", or where the ceiling of the mentee's center stands in the way, a higher one"
    return [
        "They may be matched, but somebody else would then have no mentor, or a center less than its"
        f" floor{too_many}; no score counts for more.",
        "What would change it: so many free seats of this mentor that nobody has to give theirs"
        f" up{higher}.",
    ]


def _of_elsewhere(answer: Answer) -> list[str]:
    is_shown = answer.lacks is not None and answer.lacks >= _SHOWN
    by = f"{answer.lacks:.3f}" if is_shown else "a hair"
    if answer.in_words:
        by = answer.lacks_in_words
    lines = [
        f"More is gained by having them elsewhere: the fit would have to be {by} better, at least."
    ]
    if answer.score and answer.score.value + (answer.lacks or 0) > 1 + _SMALL:
        lines.append("No two fit so well.")
    return lines + [
        f"If {p.criterion} fitted fully, it would be {p.score:.2f}." for p in answer.potentials[:2]
    ]


def _of_floors(answer: Answer) -> list[str]:
    lines = []
    if answer.floor_in_words == NO_SCORE:
        lines.append(
            "The floor of the mentee's center is not met, or is met at the cost of somebody's having"
            " no mentor: no score counts for more."
        )
    elif answer.floor_in_words:
        by = answer.floor_in_words if answer.in_words else f"{answer.floor_points:.3f}"
        lines.append(
            f"So that the floor of the mentee's center is met, being served counts {by} more there."
        )
    if answer.because_of_floor:
        lines.append("Without the floors of this round the mentee would have no mentor.")
    if answer.lost_by_floor:
        lines.append("Without the floors of this round the mentee would have a mentor.")
    return lines
