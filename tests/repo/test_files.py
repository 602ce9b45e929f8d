"""What no file of the repository may hold, and what its commands promise."""

import re
import subprocess
from pathlib import Path

import pytest

# Spelt in two parts, so that this file passes its own test.
REGISTRIES = "|".join(
    (
        "pypi" r"\.org",
        "python" r"hosted\.org",
        "maven" r"\.org",
        r"repo\.maven" r"\.apache\.org",
        "npm" r"js\.(?:org|com)",
    )
)
MACHINE_PATHS = r"(?<![\w.~})-])/(?:" + "|".join(("root", "home", "Users", "work")) + r")/[\w.-]+"
UNFINISHED = r"\b(?:TO" r"DO|FIX" r"ME|X" r"XX)\b(?!\(#\d+\))"


def lines_with(pattern: str, root: Path, files: list[Path]) -> list[str]:
    found = []
    for path in files:
        try:
            text = path.read_text()
        except UnicodeDecodeError:
            continue  # a picture or an archive
        numbered = enumerate(text.splitlines(), start=1)
        found += [
            f"{path.relative_to(root)}:{number}: {line}"
            for number, line in numbered
            if re.search(pattern, line)
        ]
    return found


@pytest.mark.parametrize(
    "pattern",
    [REGISTRIES, MACHINE_PATHS, UNFINISHED],
    ids=["registry address", "path of a machine", "loose end"],
)
def test_no_file_holds(pattern: str, root: Path, files: list[Path]) -> None:
    assert lines_with(pattern, root, files) == []


@pytest.mark.parametrize(
    ("pattern", "line"),
    [
        (REGISTRIES, "index-url = https://" "pypi" ".org/simple"),
        (MACHINE_PATHS, "see /ho" "me/somebody/project"),
        (UNFINISHED, "# TO" "DO: later"),
    ],
)  # fmt: skip
def test_the_search_finds_what_it_is_for(pattern: str, line: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text(line)

    assert len(lines_with(pattern, tmp_path, [tmp_path / "file"])) == 1


def test_make_alone_explains_every_target(root: Path) -> None:
    phony = re.search(r"^\.PHONY: (.+)$", (root / "Makefile").read_text(), flags=re.MULTILINE)

    said = subprocess.run(["make"], cwd=root, capture_output=True, text=True, check=True).stdout

    assert phony is not None
    assert re.findall(r"^  make (\w+) +\S.+$", said, flags=re.MULTILINE) == phony.group(1).split()


def test_ci_runs_the_checks_and_then_the_tests(root: Path) -> None:
    script = root / ".ci" / "run"

    commands = re.findall(r"^make (\w+)$", script.read_text(), flags=re.MULTILINE)

    assert script.stat().st_mode & 0o111
    assert commands == ["setup", "check", "test"]
