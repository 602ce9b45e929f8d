"""Write what follows from the models: schemas, samples, asyncapi.yaml, the README's catalogue.

    python contracts/tools/generate.py            write them (`make schemas`)
    python contracts/tools/generate.py --check    change nothing; exit 1 and name what is stale
    python contracts/tools/generate.py --freeze   write them and freeze the current revisions

A frozen revision is never rewritten. An event that cannot live together with each of its frozen
revisions is refused with the reason, and then nothing is written at all.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import asyncapi
import catalogue
from compatibility import breaks, successor
from frozen import MANIFEST, Frozen
from oncomentor_contracts.event import Event
from oncomentor_contracts.events import EVENTS
from oncomentor_contracts.topics import TOPICS
from samples import samples_of
from schemas import Schema, schemas_of

CONTRACTS: Final = Path(__file__).resolve().parents[1]
_COMMAND: Final = "make schemas"
_PROSE: Final = frozenset({"$id", "description", "examples", "title"})


def main(
    arguments: Sequence[str], folder: Path = CONTRACTS, events: Sequence[type[Event]] = EVENTS
) -> int:
    """Write or check the files below `folder`, tell what is wrong, and return an exit status."""
    parser = argparse.ArgumentParser(description="Write what follows from the contracts' models.")
    parser.add_argument("--check", action="store_true", help="change nothing, name what is stale")
    parser.add_argument("--freeze", action="store_true", help="freeze the current revisions")
    chosen = parser.parse_args(arguments)
    frozen = Frozen.read(folder)
    for event in events:
        frozen = frozen.with_older(event)
    complaints = [*_refusals(frozen, events)]
    if not complaints:
        wanted = _files(frozen, events)
        complaints = [*_stale(folder, wanted, frozen)] if chosen.check else []
        if not chosen.check:
            _write(folder, wanted, frozen)
        if chosen.freeze:
            _freeze(frozen, events)
    for complaint in complaints:
        print(complaint, file=sys.stderr)
    return 1 if complaints else 0


def _refusals(frozen: Frozen, events: Sequence[type[Event]]) -> Iterator[str]:
    """Yield why the models cannot stand beside what is frozen."""
    for name in frozen.touched():
        yield f"contracts/{name}: frozen and changed or gone; run: git checkout -- contracts/{name}"
    if frozen.touched():
        return
    for gone in sorted(frozen.types() - {event.TYPE for event in events}):
        yield f"{gone}: has frozen revisions and is gone; keep it beside {successor(gone)}"
    for event in events:
        yield from _event_refusals(frozen, event)


def _event_refusals(frozen: Frozen, event: type[Event]) -> Iterator[str]:
    today = schemas_of(event)
    latest = 0
    for latest, then in frozen.revisions(event.TYPE):
        yield from (each.sentence for each in breaks(event.TYPE, latest, then, today))
        if latest == event.REVISION and _meaning(then.reader) != _meaning(today.reader):
            yield (
                f"{event.TYPE}: revision {latest} is frozen and {event.__name__} gives another; "
                f"set REVISION = {latest + 1} there and run: {_COMMAND}"
            )
    if latest not in {event.REVISION, event.REVISION - 1}:
        yield (
            f"{event.TYPE}: {event.__name__} has REVISION = {event.REVISION}, but the newest "
            f"frozen one is {latest}; set it to {latest + 1}"
        )


def _meaning(part: object) -> object:
    """Return a schema without its prose, which may be reworded at any time."""
    if isinstance(part, list):
        return [_meaning(each) for each in part]
    if not isinstance(part, dict):
        return part
    return {
        name: _named(each) if name in {"properties", "$defs"} else _meaning(each)
        for name, each in part.items()
        if name not in _PROSE
    }


def _named(parts: Mapping[str, Schema]) -> object:
    return {name: _meaning(each) for name, each in parts.items()}


def _files(frozen: Frozen, events: Sequence[type[Event]]) -> Mapping[str, str]:
    """Return the text of every file that is not frozen, by its path below the folder."""
    readme = (frozen.folder / "README.md").read_text("utf-8")
    files = {
        "README.md": catalogue.with_catalogue(readme, events),
        "asyncapi.yaml": asyncapi.document(events, TOPICS),
        MANIFEST.as_posix(): frozen.text(),
    }
    for event in events:
        if f"schemas/{event.TYPE}/{event.REVISION}.writer.json" in frozen.digests:
            continue
        schemas = schemas_of(event)
        for side, schema in schemas._asdict().items():
            path = f"schemas/{event.TYPE}/{event.REVISION}.{side}.json"
            files[path] = json.dumps(schema, indent=2, ensure_ascii=False) + "\n"
        for name, sample in samples_of(event, schemas).items():
            files[f"samples/{event.TYPE}/{event.REVISION}.{name}.json"] = sample
    return files


def _stale(folder: Path, wanted: Mapping[str, str], frozen: Frozen) -> Iterator[str]:
    for name, text in wanted.items():
        path = folder / name
        if not path.is_file() or path.read_text("utf-8") != text:
            yield f"contracts/{name}: does not follow from the models any more; run: {_COMMAND}"
    for name in _leftovers(folder, wanted, frozen):
        yield f"contracts/{name}: follows from no model; run: {_COMMAND}"


def _write(folder: Path, wanted: Mapping[str, str], frozen: Frozen) -> None:
    for name in _leftovers(folder, wanted, frozen):
        (folder / name).unlink()
    for name, text in wanted.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.is_file() or path.read_text("utf-8") != text:
            path.write_text(text, "utf-8")


def _leftovers(folder: Path, wanted: Mapping[str, str], frozen: Frozen) -> list[str]:
    """Return the generated files that no model and no frozen revision accounts for."""
    there = (
        path.relative_to(folder).as_posix()
        for kind in ("schemas", "samples")
        for path in sorted((folder / kind).glob("**/*.json"))
    )
    return [name for name in there if name not in wanted and name not in frozen.digests]


def _freeze(frozen: Frozen, events: Sequence[type[Event]]) -> None:
    for event in events:
        frozen = frozen.with_revision(event.TYPE, event.REVISION)
    (frozen.folder / MANIFEST).write_text(frozen.text(), "utf-8")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
