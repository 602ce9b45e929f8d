"""Other libraries' Python: an environment of its own, so that ours never depends on them."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

_HERE = Path(__file__).parent
_ROOT = _HERE.parents[1]
_LOCK = _ROOT / "requirements" / "peers.lock"
_PLACE = _ROOT / "build" / "peers"


def ask(script: str, *arguments: str) -> Any:
    """Run one of this folder's scripts with the peers' Python; return the JSON it prints.

    Raises:
        subprocess.CalledProcessError: it failed; what it said is on stderr.
    """
    command = [str(_python()), str(_HERE / script), *arguments]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout)


def _python() -> Path:
    """Return the peers' Python, made from the lock if it was not yet."""
    python, stamp = _PLACE / "bin" / "python", _PLACE / "lock"
    if not stamp.is_file() or stamp.read_bytes() != _LOCK.read_bytes():
        sys.stderr.write("  installing the peers\n")
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(_PLACE)], check=True)
        pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        only = ["--require-hashes", "--no-deps", "--only-binary", ":all:"]
        subprocess.run([*pip, *only, "-r", str(_LOCK)], check=True)
        stamp.write_bytes(_LOCK.read_bytes())
    return python
