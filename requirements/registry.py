"""How set-up reaches the package registry: pip's and uv's settings, less what would mislead them.

Kept is what says where packages come from and how to get there (a mirror, a proxy, a
certificate, a cache). Dropped is all the rest of PIP_*, UV_* and PYTHON*: a target folder, a
constraint or another interpreter would put packages elsewhere, or others than the locked ones.
The hashes in the locks make any source as good as another.
"""

import ast
import contextlib
import os
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

# pip's name for a setting -> uv's variable for the same thing
_SETTINGS = {
    "cert": "SSL_CERT_FILE",
    "extra-index-url": "UV_EXTRA_INDEX_URL",
    "find-links": "UV_FIND_LINKS",
    "index-url": "UV_DEFAULT_INDEX",
    "no-index": "UV_NO_INDEX",
    "proxy": "ALL_PROXY",
    "timeout": "UV_HTTP_TIMEOUT",
    "trusted-host": "UV_INSECURE_HOST",
}
_PIP_ONLY = ("cache-dir", "client-cert", "keyring-provider", "no-cache-dir")
_KEPT_UV = re.compile(
    r"UV_(CACHE_DIR|NO_CACHE|LINK_MODE|CONCURRENT_.*|HTTP_.*|(DEFAULT_)?INDEX(_.*)?"
    r"|EXTRA_INDEX_URL|FIND_LINKS|NO_INDEX|OFFLINE|INSECURE_HOST|NATIVE_TLS|SYSTEM_CERTS"
    r"|KEYRING_PROVIDER)"
)
_DROPPED = re.compile(r"(PIP|UV|PYTHON|CONDA)_?.*|VIRTUAL_ENV.*|__PYVENV_LAUNCHER__")


@dataclass(frozen=True)
class Environments:
    """The environment variables that the two installers are run with."""

    pip: Mapping[str, str]
    uv: Mapping[str, str]


def bare_environment() -> dict[str, str]:
    """Return this process's environment without anything that steers Python, pip or uv."""
    return {name: value for name, value in os.environ.items() if not _DROPPED.fullmatch(name)}


def environments(python: Path) -> Environments:
    """Return what to run pip and uv with, both reaching the registry as pip is told to."""
    settings = pip_settings(python)
    bare = bare_environment()
    pip = bare | {"PIP_CONFIG_FILE": os.devnull, "PYTHONNOUSERSITE": "1"}
    pip |= {f"PIP_{name.upper().replace('-', '_')}": value for name, value in settings.items()}

    told = {variable: settings[name] for name, variable in _SETTINGS.items() if name in settings}
    if "UV_FIND_LINKS" in told:
        told["UV_FIND_LINKS"] = ",".join(told["UV_FIND_LINKS"].split())
    own = {name: value for name, value in os.environ.items() if _KEPT_UV.fullmatch(name)}
    # Every file's hash is known, so the first index that has it may serve it.
    fixed = {"UV_INDEX_STRATEGY": "unsafe-best-match"} | cache(own)
    return Environments(pip=pip, uv=told | bare | own | fixed)


def pip_settings(python: Path) -> dict[str, str]:
    """Return pip's settings about sources, from its files and its variables, the latter first."""
    command = [str(python), "-I", "-m", "pip", "--disable-pip-version-check", "config", "list"]
    listed = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    found: dict[str, dict[str, str]] = {"global": {}, "install": {}, ":env:": {}}
    for section, name, value in re.findall(r"^([^.\s]+)\.([a-z-]+)=(.*)$", listed, re.MULTILINE):
        known = "timeout" if name == "default-timeout" else name
        if section in found and (known in _SETTINGS or known in _PIP_ONLY):
            found[section][known] = " ".join(str(ast.literal_eval(value)).split())
    return found["global"] | found["install"] | found[":env:"]


def cache(settings: Mapping[str, str]) -> dict[str, str]:
    """Return where uv keeps downloads: its usual place, or the checkout where that is closed."""
    usual = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "uv"
    place = Path(settings.get("UV_CACHE_DIR") or usual)
    with contextlib.suppress(OSError):  # a closed home has its answer in the next lines
        place.mkdir(parents=True, exist_ok=True)
    if not os.access(place, os.W_OK):
        place = Path(__file__).resolve().parent.parent / "build" / "cache"
        place.mkdir(parents=True, exist_ok=True)
    # Between two disks uv copies instead of linking, and warns unless told.
    same_disk = place.stat().st_dev == Path(__file__).stat().st_dev
    return {"UV_CACHE_DIR": str(place)} | ({} if same_disk else {"UV_LINK_MODE": "copy"})
