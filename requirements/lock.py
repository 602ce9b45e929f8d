"""Regenerate the locks from what the packages declare: versions that fit together.

What is locked stays as it is where it can, so that a new dependency moves nothing else; with
`--upgrade` everything moves to the newest versions.

Everything is resolved once (dev.lock); the others take their versions from there, so a
package has one version in the whole repository. There is one for each target of deploy/Dockerfile. The locks hold names, versions and hashes and
no address: the registry is whatever pip is configured with.
"""

import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import installer
import registry

_FLAGS = (
    "--universal", "--python-version", "3.11", "--fork-strategy", "fewest", "--generate-hashes",
    "--only-binary", ":all:", "--no-header", "--no-annotate", "--quiet", "--no-config",
)  # fmt: skip


KERNEL = ("contracts", "libs/servicekit")
IMAGES = {
    "services": (*KERNEL, "services/profile", "services/scheduling", "services/notification"),
    "matching": (*KERNEL, "services/matching"),
    "tools": ("contracts", "libs/devstack"),
}
"""Targets of deploy/Dockerfile, and the packages of this repository in each."""


def declared(folders: Sequence[str]) -> list[Path]:
    """Return the declarations of these packages."""
    return [Path(folder) / "pyproject.toml" for folder in folders]


def main() -> int:
    """Write every lock, and return a process's exit status."""
    everything = [folder / "pyproject.toml" for folder in installer.packages()]
    runtime = [path for path in everything if path.parent.name != "testkit"]
    with installer.alone():
        for lock, sources in (
            ("dev", [*everything, Path("requirements/dev.in")]),
            ("runtime", runtime),
            ("build", [Path("requirements/build.in")]),
            ("peers", [Path("requirements/peers.in")]),
            *((f"image-{name}", declared(folders)) for name, folders in IMAGES.items()),
        ):
            if status := compile_lock(lock, sources):
                return status
            sys.stderr.write(f"lock: requirements/{lock}.lock\n")
    return 0


def compile_lock(lock: str, sources: Sequence[Path]) -> int:
    """Resolve the sources into one lock, which stays as it was if that fails."""
    target = installer.ROOT / "requirements" / f"{lock}.lock"
    fresh = target.with_suffix(".fresh")
    upgrade = [flag for flag in sys.argv[1:] if flag == "--upgrade"]
    if target.is_file():
        shutil.copy(target, fresh)  # what uv finds there it prefers
    constraints = [] if lock == "dev" else ["--constraints", "requirements/dev.lock"]
    ours = [part for name in installer.package_names() for part in ("--no-emit-package", name)]
    command = [str(installer.VENV / "bin" / "uv"), "pip", "compile", *_FLAGS, *upgrade, *ours]
    try:
        status = subprocess.run(
            [*command, *constraints, *map(str, sources), "-o", str(fresh)],
            cwd=installer.ROOT,
            env=registry.environments(installer.PYTHON).uv,
            stdout=subprocess.DEVNULL,
            check=False,
        ).returncode
        if status == 0:
            fresh.replace(target)
    finally:
        fresh.unlink(missing_ok=True)
    return status


if __name__ == "__main__":
    sys.exit(main())
