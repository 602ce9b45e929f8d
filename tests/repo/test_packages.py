"""What a package imports it declares, what is declared is locked, and a lock says where nothing is."""

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

LOCKS = ("runtime", "dev", "build", "image-services", "image-matching", "image-tools")
PARTS = {"pydantic_core": "pydantic"}  # documented as pydantic's own, and never apart from it


def declared(package: Path) -> list[Requirement]:
    project = tomllib.loads((package / "pyproject.toml").read_text())["project"]
    optional = project.get("optional-dependencies", {}).values()
    return [Requirement(text) for part in (project["dependencies"], *optional) for text in part]


def project_name(package: Path) -> str:
    return str(tomllib.loads((package / "pyproject.toml").read_text())["project"]["name"])


def import_name(package: Path) -> str:
    (folder,) = (path.parent for path in package.glob("src/*/__init__.py"))
    return folder.name


def imported(package: Path) -> Iterator[str]:
    """The top-level names a package imports, wherever in a module."""
    for path in package.glob("src/**/*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            else:
                continue
            tops = (name.partition(".")[0] for name in names)
            yield from (PARTS.get(name, name) for name in tops)


def entries(root: Path, lock: str) -> dict[str, Version]:
    text = (root / "requirements" / f"{lock}.lock").read_text()
    found = re.findall(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)", text, flags=re.MULTILINE)
    return {name: Version(version) for name, version in found}


def test_every_package_declares_what_it_imports(packages: list[Path]) -> None:
    by_import = packages_distributions()
    siblings = {import_name(package): project_name(package) for package in packages}
    missing: dict[tuple[str, str], set[str]] = {}

    for package in packages:
        names = set(imported(package)) - sys.stdlib_module_names - {import_name(package)}
        known = {canonicalize_name(requirement.name) for requirement in declared(package)}
        providers = {
            name: {siblings[name]}
            if name in siblings
            else {str(canonicalize_name(given)) for given in by_import.get(name, [name])}
            for name in names
        }
        missing |= {
            (package.name, name): given for name, given in providers.items() if not given & known
        }

    assert missing == {}


def test_contracts_depend_on_pydantic_alone(root: Path) -> None:
    names = {requirement.name for requirement in declared(root / "contracts")}

    assert names == {"pydantic"}


def test_every_declared_dependency_is_locked_in_a_version_that_fits(
    root: Path, packages: list[Path]
) -> None:
    ours = {project_name(package) for package in packages}
    versions = entries(root, "dev")

    wanted = [
        requirement
        for package in packages
        for requirement in declared(package)
        if requirement.name not in ours
    ]
    unlocked = [
        str(requirement)
        for requirement in wanted
        if canonicalize_name(requirement.name) not in versions
        or versions[canonicalize_name(requirement.name)] not in requirement.specifier
    ]

    assert unlocked == [], "run `make lock`"


def test_every_tool_is_locked(root: Path) -> None:
    lines = (root / "requirements" / "dev.in").read_text().splitlines()

    tools = {
        canonicalize_name(Requirement(line).name)
        for line in lines
        if line and not line.startswith("#")
    }

    assert tools <= entries(root, "dev").keys(), "run `make lock`"


def test_a_package_has_one_version_in_all_locks(root: Path) -> None:
    dev = entries(root, "dev")

    for lock in LOCKS:
        other = entries(root, lock)
        assert all(dev[name] == other[name] for name in dev.keys() & other.keys())
        assert lock == "build" or other.keys() <= dev.keys()


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_names_no_place(root: Path, lock: str) -> None:
    text = (root / "requirements" / f"{lock}.lock").read_text()

    assert not re.findall(
        r".*(?:://|^-|--index|--find-links| @ |file:|\.\./).*", text, flags=re.MULTILINE
    )


@pytest.mark.parametrize("lock", LOCKS)
def test_every_locked_requirement_has_hashes(root: Path, lock: str) -> None:
    text = (root / "requirements" / f"{lock}.lock").read_text()

    requirements = re.split(r"\n(?=\S)", text.strip())

    assert len(requirements) == len(entries(root, lock))
    assert all(
        re.search(r"--hash=sha256:[0-9a-f]{64}\b", requirement) for requirement in requirements
    )


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_holds_none_of_our_own_packages(root: Path, packages: list[Path], lock: str) -> None:
    ours = {project_name(package) for package in packages}

    assert not ours & entries(root, lock).keys()


def test_every_package_is_typed_and_described(packages: list[Path]) -> None:
    for package in packages:
        source = package / "src" / import_name(package)

        assert (source / "py.typed").is_file(), package
        assert ast.get_docstring(ast.parse((source / "__init__.py").read_text())), package
