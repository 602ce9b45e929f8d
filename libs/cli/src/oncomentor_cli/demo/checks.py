"""Every step of the story, checked: what was expected, what was seen, and where to look."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from oncomentor_cli.demo import invitations, pairs, rows
from oncomentor_cli.demo.world import World

_SHOWN: Final = 5


@dataclass(frozen=True, slots=True)
class Check:
    """One check; `failures` is empty where it holds."""

    name: str
    expected: str
    failures: tuple[str, ...]
    look: str

    @property
    def ok(self) -> bool:
        """Whether it holds."""
        return not self.failures

    def told(self) -> str:
        """Return what is wrong, in lines."""
        shown = [*self.failures[:_SHOWN]]
        if len(self.failures) > _SHOWN:
            shown.append(f"and {len(self.failures) - _SHOWN} more")
        lines = "".join(f"\n    seen: {one}" for one in shown)
        return f"{self.name}\n    expected: {self.expected}{lines}\n    look at: {self.look}"


Failures = Callable[[World], Iterator[str]]
_LOGS: Final = "oncomentor dev logs"
_CHECKS: Final[Sequence[tuple[str, str, Failures, str]]] = (
    (
        "wrong rows are found at home",
        "exactly the rows that are wrong on purpose, each with its field and rule",
        rows.invalid_failures,
        "oncomentor validate, on the files in the demo folder",
    ),
    (
        "the hub rejects what it alone can know",
        "exactly the rows with a programme that is not theirs, each with its field and rule",
        rows.rejected_failures,
        f"oncomentor tail receipt --as delta-demo --from beginning; {_LOGS} profile",
    ),
    (
        "every right row is taken in",
        "accepted, or unchanged since an earlier run",
        rows.row_failures,
        f"oncomentor tail receipt --as harbor-demo --from beginning; {_LOGS} profile",
    ),
    (
        "every programme has an active match",
        "at least one in each",
        pairs.programme_failures,
        f"oncomentor tail matching.match --as downstream --from beginning; {_LOGS} matching",
    ),
    (
        "every match comes to its end",
        "proposed, cleared by both centers, offered and accepted twice, active; or ended",
        pairs.step_failures,
        f"oncomentor tail match --as harbor-demo --from beginning; {_LOGS} matching",
    ),
    (
        "no pair breaks a hard rule",
        "the rules as read from the centers' own files",
        pairs.rule_failures,
        f"oncomentor tail matching.match --as downstream --from beginning; {_LOGS} matching",
    ),
    (
        "every proposal explains its score",
        "contributions that sum to it",
        pairs.score_failures,
        "oncomentor tail matching.match --as downstream --from beginning",
    ),
    (
        "no seat is given twice",
        "as many active matches as seats, and as mentors wanted, at most",
        pairs.seat_failures,
        f"{_LOGS} matching",
    ),
    (
        "nobody waits beside a free seat",
        "every mentee with an eligible mentor has one, or that mentor's seats are taken",
        lambda world: iter(world.unserved()),
        f"{_LOGS} matching",
    ),
    (
        "every active match has its session",
        "one, within both people's hours, and nobody in two at once",
        invitations.session_failures,
        f"oncomentor tail scheduling.session --as downstream --from beginning; {_LOGS} scheduling",
    ),
    (
        "everybody is told, once",
        "two offers and two invitations for a match, each one mail to its own person",
        invitations.delivery_failures,
        f"oncomentor tail notification.delivery --as downstream --from beginning; "
        f"{_LOGS} notification",
    ),
    (
        "calendars say what was booked",
        "an .ics of the booked session, for its one reader",
        invitations.calendar_failures,
        "the mail catcher's pages (oncomentor dev status has the address)",
    ),
    (
        "names stay sealed until both said yes",
        "no name, address or local id on a public topic, none of the other's in an offer",
        invitations.privacy_failures,
        "oncomentor tail matching.match --as downstream --from beginning",
    ),
    (
        "the centers' answers are taken",
        "no answer of a center refused",
        rows.answer_failures,
        f"oncomentor tail receipt --as ridge-demo --from beginning; {_LOGS} matching",
    ),
    (
        "every record can be read",
        "no malformed or unknown record on any topic that was watched",
        lambda world: (
            f"{one.topic}/{one.partition}/{one.offset}: {one.fault}"
            for one in world.observation.faults
        ),
        "oncomentor tail matching.match --as downstream --from beginning --json",
    ),
    (
        "a repetition doubles nothing",
        "the same counts before and after a run that had nothing new to say",
        rows.repetition_failures,
        "oncomentor tail matching.match --as downstream --from beginning",
    ),
)


def run_checks(world: World) -> list[Check]:
    """Return every check, in the order of the story."""
    return [
        Check(name, expected, tuple(failures(world)), look)
        for name, expected, failures, look in _CHECKS
    ]
