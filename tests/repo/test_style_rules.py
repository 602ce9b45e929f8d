"""Each rule about how a line looks is broken on purpose, and ruff or mypy must say so."""

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

Tool = Callable[..., subprocess.CompletedProcess[str]]

SERVICE = "services/x/src/x_service"
LONG_BODY = "def f() -> None:\n    '''Do.'''\n" + "    print()\n" * 31
BRANCHES = "def f(a: int) -> int:\n    '''Do.'''\n" + "".join(
    f"    if a == {number}:\n        return {number}\n" for number in range(9)
)

# (file, what stands in it, ruff's code): each is caught
CAUGHT = (
    (f"{SERVICE}/domain.py", "from datetime import UTC, datetime\n\nNOW = datetime.now(UTC)\n", "TID251"),
    (f"{SERVICE}/domain.py", "import datetime\n\nNOW = datetime.datetime.now(datetime.UTC)\n", "TID251"),
    (f"{SERVICE}/domain.py", "from datetime import date\n\nTODAY = date.today()\n", "TID251"),
    (f"{SERVICE}/domain.py", "from uuid import uuid4\n\nID = uuid4()\n", "TID251"),
    (f"{SERVICE}/domain.py", "import time\n\nNOW = time.monotonic()\n", "TID251"),
    (f"{SERVICE}/domain.py", "from time import time\n\nNOW = time()\n", "TID251"),
    (f"{SERVICE}/domain.py", "import random\n\nX = random.random()\n", "TID251"),
    (f"{SERVICE}/domain.py", "import secrets\n\nX = secrets.token_hex()\n", "TID251"),
    (f"{SERVICE}/domain/rules.py", "from uuid import uuid4\n\nID = uuid4()\n", "TID251"),
    (f"{SERVICE}/engine/flow.py", "from numpy.random import default_rng\n\nR = default_rng()\n", "TID251"),
    (f"{SERVICE}/engine.py", "from uuid import uuid4\n\nID = uuid4()\n", "TID251"),
    (f"{SERVICE}/store.py", "from .domain import x\n", "TID252"),
    (f"{SERVICE}/store.py", "from datetime import datetime\n\nNOW = datetime.now()\n", "DTZ005"),
    (f"{SERVICE}/store.py", "try:\n    X = 1\nexcept Exception:\n    X = 2\n", "BLE001"),
    (f"{SERVICE}/store.py", "print(1)\n", "T201"),
    (f"{SERVICE}/store.py", "# x = compute(1)\n", "ERA001"),
    (f"{SERVICE}/store.py", "def f() -> int:\n    return 1\n", "D103"),
    (f"{SERVICE}/store.py", LONG_BODY, "PLR0915"),
    (f"{SERVICE}/store.py", BRANCHES, "C901"),
    (f"{SERVICE}/store.py", "def f(a, b, c, d, e, g, h):\n    '''Do.'''\n", "PLR0913"),
    (f"{SERVICE}/store.py", "def f(x: str) -> str:\n    '''Do.'''\n    return f'SELECT 1 FROM t WHERE a = {x}'\n", "S608"),
    (f"{SERVICE}/store.py", "import subprocess\n\nsubprocess.run('ls', shell=True)\n", "S602"),
    (f"{SERVICE}/store.py", "import time\n\nasync def f() -> None:\n    '''Do.'''\n    time.sleep(1)\n", "ASYNC251"),
    (f"{SERVICE}/store.py", "import asyncio\n\nasync def f() -> None:\n    '''Do.'''\n    asyncio.create_task(f())\n", "RUF006"),
    (f"{SERVICE}/store.py", "X = 1  # noqa: S101\n", "RUF100"),
    (f"{SERVICE}/store.py", "assert 1 == 1\n", "S101"),
    ("tests/flows/test_x.py", "import time\n", "F401"),
)  # fmt: skip

# (file, what stands in it, ruff's code): none is reported, the rule is not meant for it
ALLOWED = (
    (f"{SERVICE}/handlers.py", "from uuid import uuid4\n\nID = uuid4()\n", "TID251"),
    (f"{SERVICE}/domain_words.py", "from uuid import uuid4\n\nID = uuid4()\n", "TID251"),
    ("services/x/tests/test_domain.py", "from uuid import uuid4\n\nID = uuid4()\n", "TID251"),
    ("services/x/tests/test_domain.py", "def test_x() -> None:\n    assert f() == 3\n", "S101"),
    ("services/x/tests/test_domain.py", "def test_x() -> None:\n    assert f() == 3\n", "D103"),
    (
        f"{SERVICE}/domain.py",
        "from datetime import datetime, time\n\nX = (datetime, time)\n",
        "TID251",
    ),
)


@pytest.fixture(scope="module")
def found(root: Path, tool: Tool, tmp_path_factory: pytest.TempPathFactory) -> dict[str, set[str]]:
    """Ruff's codes for each case; case n lies in a repository of its own named n."""
    folder = tmp_path_factory.mktemp("style")
    shutil.copy(root / "pyproject.toml", folder)
    for number, (name, text, _) in enumerate((*CAUGHT, *ALLOWED)):
        path = folder / str(number) / name
        path.parent.mkdir(parents=True)
        path.write_text(text)
    done = tool("ruff", ["check", "--no-cache", "--output-format", "json", "."], folder)
    codes: dict[str, set[str]] = {}
    for finding in json.loads(done.stdout):
        case = Path(finding["filename"]).relative_to(folder).parts[0]
        codes.setdefault(case, set()).add(finding["code"])
    return codes


@pytest.mark.parametrize("number", range(len(CAUGHT)))
def test_a_line_that_breaks_a_rule_is_caught(found: dict[str, set[str]], number: int) -> None:
    _, text, code = CAUGHT[number]

    assert code in found.get(str(number), set()), text


@pytest.mark.parametrize("number", range(len(ALLOWED)))
def test_a_rule_stays_where_it_belongs(found: dict[str, set[str]], number: int) -> None:
    _, text, code = ALLOWED[number]

    assert code not in found.get(str(len(CAUGHT) + number), set()), text


def test_types_are_held_strictly(root: Path, tool: Tool, tmp_path: Path) -> None:
    config = (root / "pyproject.toml").read_text()
    config = re.sub(r"^files = .*$", 'files = ["."]', config, flags=re.MULTILINE)
    (tmp_path / "pyproject.toml").write_text(config)
    (tmp_path / "untyped.py").write_text("def f(a):\n    return a\n")
    (tmp_path / "bare.py").write_text("x: int = ''  # type: ignore\n")
    (tmp_path / "maybe.py").write_text("import sys\n\nif sys.argv:\n    y = 1\nprint(y)\n")
    (tmp_path / "clean.py").write_text("def f(a: int) -> int:\n    return a\n")

    said = tool("mypy", ["--cache-dir", "/dev/null"], tmp_path).stdout

    assert {"untyped.py", "bare.py", "maybe.py"} == set(
        re.findall(r"^(\w+\.py):", said, re.MULTILINE)
    )
    assert {"no-untyped-def", "ignore-without-code", "possibly-undefined"} <= set(
        re.findall(r"\[([a-z-]+)\]", said)
    )


def test_every_ignore_has_its_reason(root: Path) -> None:
    lines = (root / "pyproject.toml").read_text().partition("ignore = [\n")[2].partition("]")[0]

    assert all(re.fullmatch(r'    "[A-Z]+\d+",\s+# \S.+', line) for line in lines.splitlines())


def test_no_module_holds_two_ideas(root: Path, files: list[Path]) -> None:
    longest = 300

    modules = [
        path for path in files if path.suffix == ".py" and "src" in path.relative_to(root).parts
    ]
    lengths = {str(path.relative_to(root)): len(path.read_text().splitlines()) for path in modules}

    assert not {name: length for name, length in lengths.items() if length > longest}
