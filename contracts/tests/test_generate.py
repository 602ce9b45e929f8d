"""The tool that writes what follows from the models, on small models of its own."""

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import create_model

from catalogue import BEGIN, END
from generate import main
from oncomentor_contracts import topics
from oncomentor_contracts.event import Event, PersonId

SCHEMA = "schemas/person.reviewed.v1/1.reader.json"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A contracts folder in which nothing was generated yet."""
    (tmp_path / "README.md").write_text(f"# Contracts\n\n{BEGIN}\n{END}\n\nThe end.\n")
    return tmp_path


def an_event(revision: int = 1, description: str = "Reviewed.", **fields: Any) -> type[Event]:
    model: type[Event] = create_model(
        "PersonReviewed",
        __base__=Event,
        __doc__=description,
        person_id=(PersonId, ...),
        grade=(int, ...),
        **fields,
    )
    model.TYPE, model.TOPIC, model.SUBJECT = (
        "person.reviewed.v1",
        topics.MATCHING_MATCH,
        "person_id",
    )
    model.REVISION = revision
    return model


def everything(folder: Path) -> dict[str, str]:
    files = (path for path in folder.glob("**/*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_text() for path in files}


def test_a_fresh_folder_is_filled_and_then_up_to_date(folder: Path) -> None:
    assert main([], folder, [an_event()]) == 0

    assert main(["--check"], folder, [an_event()]) == 0
    assert sorted(everything(folder)) == [
        "README.md",
        "asyncapi.yaml",
        "samples/person.reviewed.v1/1.full.json",
        "samples/person.reviewed.v1/1.minimal.json",
        "schemas/frozen.json",
        "schemas/person.reviewed.v1/1.reader.json",
        "schemas/person.reviewed.v1/1.writer.json",
    ]


def test_the_same_models_give_the_same_files(folder: Path) -> None:
    main([], folder, [an_event()])
    first = everything(folder)

    main([], folder, [an_event()])

    assert everything(folder) == first


def test_the_catalogue_stands_between_its_markers(folder: Path) -> None:
    main([], folder, [an_event()])

    readme = (folder / "README.md").read_text()
    assert readme.startswith("# Contracts\n")
    assert readme.endswith("The end.\n")
    assert (
        "| `person.reviewed.v1` | `matching.match` | matching | downstream, notification, "
        "scheduling | `person_id` | Reviewed. |"
    ) in readme


def test_a_readme_without_markers_is_told_what_it_needs(folder: Path) -> None:
    (folder / "README.md").write_text("# Contracts\n")

    with pytest.raises(ValueError, match="needs a line"):
        main([], folder, [an_event()])


@pytest.mark.parametrize(
    "name",
    [
        "README.md",
        "asyncapi.yaml",
        "schemas/frozen.json",
        "schemas/person.reviewed.v1/1.writer.json",
        "samples/person.reviewed.v1/1.minimal.json",
    ],
)
@pytest.mark.parametrize("damage", ["changed", "gone"])
def test_a_stale_file_is_named_with_the_command_that_mends_it(
    folder: Path, capsys: pytest.CaptureFixture[str], name: str, damage: str
) -> None:
    main([], folder, [an_event()])
    path, text = folder / name, (folder / name).read_text()
    path.write_text(text.replace("person", "people").replace("{}", "{ }"))
    if damage == "gone" and name != "README.md":
        path.unlink()

    assert main(["--check"], folder, [an_event()]) == 1

    complaint = f"contracts/{name}: does not follow from the models any more; run: make schemas\n"
    assert capsys.readouterr().err == complaint
    main([], folder, [an_event()])
    assert path.read_text() == text


def test_a_check_changes_nothing(folder: Path) -> None:
    main([], folder, [an_event()])
    before = everything(folder)

    main(["--check"], folder, [an_event(note=(str | None, None))])

    assert everything(folder) == before


def test_a_file_that_no_model_accounts_for_is_named_and_removed(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main([], folder, [an_event()])
    stray = folder / "schemas" / "person.renamed.v1" / "1.writer.json"
    stray.parent.mkdir()
    stray.write_text("{}")

    assert main(["--check"], folder, [an_event()]) == 1

    assert "person.renamed.v1/1.writer.json: follows from no model" in capsys.readouterr().err
    main([], folder, [an_event()])
    assert not stray.exists()


def test_before_it_is_frozen_a_revision_follows_its_model(folder: Path) -> None:
    main([], folder, [an_event()])

    assert main([], folder, [an_event(note=(str, ...))]) == 0

    assert "note" in (folder / SCHEMA).read_text()


def test_a_frozen_revision_is_not_rewritten_by_a_compatible_change(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["--freeze"], folder, [an_event()])
    before = everything(folder)

    assert main([], folder, [an_event(note=(str | None, None))]) == 1

    assert "set REVISION = 2 there and run: make schemas" in capsys.readouterr().err
    assert everything(folder) == before


def test_the_next_revision_stands_beside_the_frozen_one(folder: Path) -> None:
    main(["--freeze"], folder, [an_event()])
    before = everything(folder)

    assert main([], folder, [an_event(2, note=(str | None, None))]) == 0

    after = everything(folder)
    assert after[SCHEMA] == before[SCHEMA]
    assert "note" in after["schemas/person.reviewed.v1/2.reader.json"]
    assert "note" in after["samples/person.reviewed.v1/2.full.json"]
    assert "2.reader.json" in after["asyncapi.yaml"]
    assert main(["--check"], folder, [an_event(2, note=(str | None, None))]) == 0


def test_an_older_revision_is_frozen_once_its_successor_is_there(folder: Path) -> None:
    main([], folder, [an_event()])

    main([], folder, [an_event(2, note=(str | None, None))])

    assert SCHEMA in json.loads((folder / "schemas" / "frozen.json").read_text())


def test_a_breaking_change_is_refused_with_its_reason_and_nothing_is_written(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["--freeze"], folder, [an_event()])
    before = everything(folder)

    assert main([], folder, [an_event(2, duty=(str, ...))]) == 1

    assert "person.reviewed.v1, field duty: an event of revision 1" in capsys.readouterr().err
    assert everything(folder) == before


def test_every_frozen_revision_counts_not_only_the_last(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # Revision 2 drops an optional field; revision 3 brings its name back for another thing.
    main(["--freeze"], folder, [an_event(note=(str | None, None))])
    main(["--freeze"], folder, [an_event(2)])

    assert main([], folder, [an_event(3, note=(int | None, None))]) == 1

    told = capsys.readouterr().err
    assert "field note: an event of revision 1 may hold string" in told
    assert "revision 2" not in told


def test_a_frozen_file_that_was_touched_is_named_with_the_way_back(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["--freeze"], folder, [an_event()])
    (folder / SCHEMA).write_text("{}")

    assert main(["--check"], folder, [an_event()]) == 1

    complaint = f"contracts/{SCHEMA}: frozen and changed or gone; run: git checkout -- contracts/"
    assert capsys.readouterr().err.startswith(complaint)


def test_a_frozen_event_cannot_disappear(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["--freeze"], folder, [an_event()])

    assert main(["--check"], folder, []) == 1

    assert "keep it beside person.reviewed.v2" in capsys.readouterr().err


def test_a_revision_cannot_be_skipped(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["--freeze"], folder, [an_event()])

    assert main([], folder, [an_event(3)]) == 1

    assert "the newest frozen one is 1; set it to 2" in capsys.readouterr().err


def test_prose_may_be_reworded_at_any_time(folder: Path) -> None:
    main(["--freeze"], folder, [an_event()])
    before = everything(folder)

    assert main([], folder, [an_event(description="Looked at.")]) == 0

    assert everything(folder)[SCHEMA] == before[SCHEMA]
    assert "Looked at." in everything(folder)["README.md"]
