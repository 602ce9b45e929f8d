"""Which revisions of which events are frozen: said to someone, and never rewritten.

`schemas/frozen.json` keeps the digest of every file of a frozen revision. A revision is frozen
by a release (`generate.py --freeze`), and at the latest when its successor appears.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from oncomentor_contracts.event import Event
from schemas import Schemas

MANIFEST = Path("schemas", "frozen.json")


@dataclass(frozen=True, slots=True)
class Frozen:
    """The frozen files below a contracts folder: digest by path, as the manifest has them."""

    folder: Path
    digests: Mapping[str, str]

    @classmethod
    def read(cls, folder: Path) -> "Frozen":
        """Return what the folder's manifest says; nothing where there is none yet."""
        path = folder / MANIFEST
        return cls(folder, json.loads(path.read_text("utf-8")) if path.is_file() else {})

    def text(self) -> str:
        """Return the manifest as it is written."""
        return json.dumps(dict(sorted(self.digests.items())), indent=2) + "\n"

    def with_revision(self, event_type: str, revision: int) -> "Frozen":
        """Return these and the revision's files, as they are on disk now."""
        digests = {
            name: _digest(self.folder / name)
            for name in self._files(event_type, revision)
            if name not in self.digests
        }
        return Frozen(self.folder, {**self.digests, **digests})

    def with_older(self, event: type[Event]) -> "Frozen":
        """Return these and the files of all revisions before the event's own."""
        frozen = self
        for revision in range(1, event.REVISION):
            frozen = frozen.with_revision(event.TYPE, revision)
        return frozen

    def types(self) -> frozenset[str]:
        """Return the events that have a frozen revision."""
        return frozenset(Path(name).parts[1] for name in self.digests)

    def revisions(self, event_type: str) -> Iterator[tuple[int, Schemas]]:
        """Yield every frozen revision of an event with its schemas, oldest first."""
        folder = self.folder / "schemas" / event_type
        revision = 1
        while f"schemas/{event_type}/{revision}.writer.json" in self.digests:
            writer, reader = (
                json.loads((folder / f"{revision}.{side}.json").read_text("utf-8"))
                for side in ("writer", "reader")
            )
            yield revision, Schemas(writer, reader)
            revision += 1

    def touched(self) -> list[str]:
        """Return the frozen files that are gone or were changed, sorted."""
        return sorted(
            name
            for name, digest in self.digests.items()
            if not (self.folder / name).is_file() or _digest(self.folder / name) != digest
        )

    def _files(self, event_type: str, revision: int) -> Iterator[str]:
        for kind in ("schemas", "samples"):
            for path in sorted((self.folder / kind / event_type).glob(f"{revision}.*.json")):
                yield path.relative_to(self.folder).as_posix()


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
