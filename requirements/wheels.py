"""Build each service with its two libraries, and start it where nothing else is installed.

A service that runs here needs no other service and has declared what it imports: its own
environment holds what contracts, the kit and itself declare, in the versions of runtime.lock.
"""

import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import complaint
import installer
import registry

WHEELS = installer.ROOT / "build" / "wheels"
PLACES = installer.ROOT / "build" / "environments"
LIBRARIES = (Path("contracts"), Path("libs/servicekit"))
UV = str(installer.VENV / "bin" / "uv")


def main() -> int:
    """Build, install and start every service, and return a process's exit status."""
    shutil.rmtree(WHEELS, ignore_errors=True)
    environment = registry.environments(installer.PYTHON).uv
    try:
        for folder in (*LIBRARIES, *services()):
            build(folder, environment)
        for folder in services():
            prove(folder, environment)
    except complaint.SetUpError as error:
        return installer.refuse(str(error))
    return 0


def services() -> list[Path]:
    """Return the folders of the services."""
    return [folder for folder in installer.packages() if folder.parts[0] == "services"]


def build(folder: Path, environment: Mapping[str, str]) -> None:
    """Build one wheel into build/wheels with the locked tools of `.venv`."""
    command = [UV, "build", "--wheel", "--no-config", "--no-build-isolation", "--python"]
    installer.run([*command, str(installer.PYTHON), "-o", str(WHEELS), f"./{folder}"], environment)


def prove(folder: Path, environment: Mapping[str, str]) -> None:
    """Install one service alone and ask it for its options.

    Raises:
        SetUpError: it cannot be installed or does not start by itself.
    """
    place, module = PLACES / folder.name, f"{folder.name}_service"
    python = str(place / "bin" / "python")
    installer.run(
        [
            UV,
            "venv",
            "--quiet",
            "--no-config",
            "--clear",
            "--python",
            installer.base_interpreter(),
            str(place),
        ],
        environment,
    )
    into = [UV, "pip", "install", "--no-config", "--no-deps", "--python", python]
    lock = declared(folder, place, environment)
    installer.run([*into, "--require-hashes", "--only-binary", ":all:", "-r", lock], environment)
    names = ("oncomentor_contracts", "oncomentor_servicekit", f"oncomentor_{module}")
    installer.run(
        [*into, *(str(path) for name in names for path in WHEELS.glob(f"{name}-*.whl"))],
        environment,
    )

    asked = subprocess.run(
        [python, "-I", "-m", module, "--help"], capture_output=True, text=True, check=False
    )
    if asked.returncode != 0:
        sys.stderr.write(asked.stderr)
        raise complaint.SetUpError(f"{module} does not start by itself.")
    sys.stdout.write(f"{module}: built, installed alone, starts\n")


def declared(folder: Path, place: Path, environment: Mapping[str, str]) -> str:
    """Return the path of a hashed lock of what the service and its libraries declare."""
    lock = str(place / "declared.lock")
    sources = [str(path / "pyproject.toml") for path in (*LIBRARIES, folder)]
    ours = [part for name in installer.package_names() for part in ("--no-emit-package", name)]
    command = [UV, "pip", "compile", "--quiet", "--no-config", "--generate-hashes", "--no-header"]
    versions = ["--constraints", "requirements/runtime.lock", "--only-binary", ":all:"]
    place_of = ["--python", str(place / "bin" / "python"), "-o", lock]
    installer.run([*command, *versions, *ours, *sources, *place_of], environment)
    return lock


if __name__ == "__main__":
    sys.exit(main())
