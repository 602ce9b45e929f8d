"""What a center has published, and what became of it: why a second run doubles nothing."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from uuid import UUID

from oncomentor_client.digest import key_fingerprint
from oncomentor_client.errors import JournalError
from oncomentor_client.journal_file import JournalFile, Line
from oncomentor_contracts.identifiers import uuid7

FORMAT = 1


class Step(StrEnum):
    """What has to happen with a row."""

    SEND = "send"  # new content
    RESEND = "resend"  # said before, never answered: the same event again
    NOTHING = "nothing"  # the network already has exactly this


class Verdict(StrEnum):
    """How the network answered."""

    ACCEPTED = "accepted"
    REJECTED = "rejected"


@dataclass(frozen=True, slots=True)
class Intent:
    """One event that was, or is about to be, sent."""

    key: str
    """Digest of the local id."""
    content: str
    """Digest of what is said."""
    event_id: UUID
    sequence: int
    accepted: bool = False


@dataclass(slots=True)
class _Person:
    """Intents that still count, oldest first, and the highest sequence ever given out."""

    living: list[Intent] = field(default_factory=list)
    last_sequence: int = 0


class Journal:
    """The journal of one center against one network.

    Close it, or use it as a context manager: it is locked while open. Nothing in the file is
    personal: digests under the center's key, event ids and numbers.
    """

    def __init__(self, path: Path, institution_id: str, center_key: bytes) -> None:
        """Open the journal, repair a torn end, and take in what it says.

        Raises:
            JournalLockedError: another publisher holds it.
            JournalError: it is damaged, or belongs to another center or key.
        """
        self._path = path
        self._people: dict[str, _Person] = {}
        self._open: dict[UUID, str] = {}
        self._file = JournalFile(path)
        try:
            self._replay(institution_id, key_fingerprint(center_key))
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> "Journal":
        """Return the journal itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()

    def close(self) -> None:
        """Put everything on disk and let others have it. Closing twice is harmless."""
        self._file.close()

    def plan(self, key: str, content: str, now: datetime) -> tuple[Step, Intent]:
        """Return what to do with a row that says `content` about the person `key`.

        Nothing is written yet: give the intents of a whole batch to `intend`. A content that the
        network rejected before is sent anew, since what was missing may be there by now.
        """
        person = self._people.get(key, _Person())
        last = person.living[-1] if person.living else None
        if last is not None and last.content == content:
            return (Step.NOTHING if last.accepted else Step.RESEND), last

        # A center that lost its journal starts again from the clock, above what it said before.
        sequence = max(person.last_sequence + 1, int(now.timestamp() * 1000))
        return Step.SEND, Intent(key, content, uuid7(now), sequence)

    def intend(self, intents: Sequence[Intent]) -> None:
        """Write down what is about to be sent; it is on disk when this returns.

        Raises:
            JournalError: it is not; send nothing.
        """
        lines = [
            {"k": one.key, "c": one.content, "id": str(one.event_id), "n": one.sequence}
            for one in intents
        ]
        self._file.append(lines, synced=True)
        for one in intents:
            self._take_intent(one)

    def settle(self, answers: Iterable[tuple[UUID, Verdict]]) -> None:
        """Write down what the network answered; ids of other publishers are passed over.

        Not synced: an answer that a crash loses is asked for again, with the same event id.
        """
        news = [(event_id, verdict) for event_id, verdict in answers if event_id in self._open]
        self._file.append([{"id": str(one), "r": verdict} for one, verdict in news], synced=False)
        for event_id, verdict in news:
            self._take_answer(event_id, verdict)

    def is_open(self, event_id: UUID) -> bool:
        """Return whether this event was sent from here and not answered yet."""
        return event_id in self._open

    def oldest_open_at(self) -> datetime | None:
        """Return when the oldest unanswered event was made; None when all are answered."""
        if not self._open:
            return None
        # The first 48 bits of a version 7 id are its millisecond (RFC 9562, section 5.7).
        milliseconds = min(event_id.int >> 80 for event_id in self._open)
        return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=milliseconds)

    def _replay(self, institution_id: str, fingerprint: str) -> None:
        lines = self._file.read()
        header = {"journal": FORMAT, "institution": institution_id, "center_key": fingerprint}
        if not lines:
            self._file.append([header], synced=True)
            return
        self._check_header(lines[0], header)
        for line in lines[1:]:
            self._take(line)

    def _check_header(self, found: Line, wanted: Line) -> None:
        if found.get("journal") != FORMAT:
            raise JournalError(
                f"the journal {self._path} was written by another release (format "
                f"{found.get('journal')}, this one reads {FORMAT}): use that release"
            )
        if found.get("institution") != wanted["institution"]:
            raise JournalError(
                f"the journal {self._path} belongs to {found.get('institution')}, not to "
                f"{wanted['institution']}: give each center a journal of its own"
            )
        if found != wanted:
            raise JournalError(
                f"the journal {self._path} was written under another center key: with this key "
                "everybody would be a new person; put the old key back into the credentials"
            )

    def _take(self, line: Line) -> None:
        event_id = UUID(line["id"])
        if "r" in line:
            self._take_answer(event_id, Verdict(line["r"]))
        else:
            self._take_intent(Intent(line["k"], line["c"], event_id, line["n"]))

    def _take_intent(self, intent: Intent) -> None:
        if intent.event_id in self._open:
            return
        person = self._people.setdefault(intent.key, _Person())
        person.living.append(intent)
        person.last_sequence = max(person.last_sequence, intent.sequence)
        self._open[intent.event_id] = intent.key

    def _take_answer(self, event_id: UUID, verdict: Verdict) -> None:
        key = self._open.pop(event_id, None)
        if key is None:
            return
        person = self._people[key]
        index = next(i for i, one in enumerate(person.living) if one.event_id == event_id)
        said = person.living.pop(index)
        if verdict is Verdict.REJECTED:
            return

        # What was said earlier is overtaken, answered or not.
        for overtaken in person.living[:index]:
            self._open.pop(overtaken.event_id, None)
        accepted = Intent(said.key, said.content, said.event_id, said.sequence, accepted=True)
        person.living[:index] = [accepted]
