"""A pool on disk as it is laid out: reading it takes a tenth of what laying its people out takes.

What was read goes on like the pool that was written: people come and go, to the last bit of a score.
It is as secret as the profiles, and of the sources that wrote it: after a change of the engine or of
what it reads, lay the people out anew. The service keeps none (docs/adr/0017): it is for notebooks,
simulations and workers that begin from one pool.
"""

import hashlib
import io
import pickle
from datetime import date, datetime, timedelta, timezone
from functools import cache
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import numpy.typing as npt

from matching_service import domain
from matching_service.domain import pool as people
from matching_service.domain.rules.book import RULES
from matching_service.domain.rules.rule import Rule
from matching_service.domain.taxonomy import Taxonomy
from matching_service.engine import columns, features, kinds, patterns, pool, scan, sides

Array = npt.NDArray[Any]
_CLASSES = (
    UUID, date, datetime, timedelta, timezone, Taxonomy,
    people.Center, people.Programme, people.Training, people.Survivor, people.Person,
    people.Mentor, people.Mentee, people.Context,
    columns.Centers, columns.Layout, columns.Lines, columns.Numbers, features.Features, kinds.Seen,
    patterns.Patterns, pool.Pool, pool.Where, scan.Scale, sides.MenteeSide, sides.MentorSide,
)  # fmt: skip
_KNOWN = {(one.__module__, one.__qualname__): one for one in _CLASSES}
_RULES = {rule.name: rule for rule in RULES}


class SnapshotError(ValueError):
    """A file is no snapshot that can be read; the text says why and what to do."""


class _Writer(pickle.Pickler):
    """Writes everything but arrays and rules, which it numbers and names."""

    def __init__(self, file: io.BytesIO) -> None:
        super().__init__(file, protocol=5)
        self.arrays: list[Array] = []

    def persistent_id(self, one: Any) -> str | int | None:
        if isinstance(one, Rule):
            return one.name
        if isinstance(one, np.ndarray):
            self.arrays.append(one)
            return len(self.arrays) - 1
        return None


class _Reader(pickle.Unpickler):
    """Makes what `_Writer` wrote, and nothing else: a file can name no other class or function."""

    def __init__(self, file: io.BytesIO, arrays: Any) -> None:
        super().__init__(file)
        self._arrays = arrays

    def persistent_load(self, name: Any) -> Rule | Array:
        return _RULES[name] if isinstance(name, str) else self._arrays[f"{name}"]

    def find_class(self, module: str, name: str) -> type:
        return _KNOWN[module, name]


def write(path: Path, of: pool.Pool) -> None:
    """Write a pool; only who runs this can read the file. O(people)."""
    file = io.BytesIO()
    writer = _Writer(file)
    writer.dump(of)
    arrays = {f"{n}": array for n, array in enumerate(writer.arrays)}
    graph = np.frombuffer(file.getvalue(), np.uint8)
    part = path.with_name(f"{path.name}.part")
    part.unlink(missing_ok=True)
    part.touch(mode=0o600)
    with part.open("wb") as out:
        np.savez(out, allow_pickle=False, sources=np.array(_sources()), graph=graph, **arrays)
    part.replace(path)


def read(path: Path) -> pool.Pool:
    """Return the pool that was written. O(people).

    Raises:
        OSError: the file cannot be read.
        SnapshotError: it is no snapshot, not whole, or of other sources.
    """
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as given:
            if str(given["sources"]) != _sources():
                raise SnapshotError(f"{path} is of another version: lay the people out anew")
            found: pool.Pool = _Reader(io.BytesIO(given["graph"].tobytes()), given).load()
    except (OSError, SnapshotError):
        raise
    except Exception as error:
        # Whatever a file that is cut off or made up leads to: there is one thing to do.
        raise SnapshotError(
            f"{path} is no whole snapshot ({error!r}): lay the people out anew"
        ) from error
    return found


@cache
def _sources() -> str:
    """Return the hash of what a pool is laid out by."""
    places = Path(__file__).parent, Path(domain.__file__).parent
    found = [one.read_bytes() for place in places for one in sorted(place.rglob("*.py"))]
    return hashlib.sha256(b"".join(found)).hexdigest()
