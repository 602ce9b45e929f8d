"""Each rule about who may import whom is broken on purpose, and import-linter must say so.

A small tree of all packages, each module in place and empty, is checked with this repository's
own configuration: once clean, once with every forbidden import of the table planted in it.
"""

import re
import shutil
import subprocess
import tomllib
from collections.abc import Callable, Mapping
from itertools import pairwise
from pathlib import Path

import pytest

Tool = Callable[..., subprocess.CompletedProcess[str]]

SERVICES = ("profile_service", "matching_service", "scheduling_service", "notification_service")
OTHERS = (
    "oncomentor_contracts",
    "servicekit",
    "devstack",
    "oncomentor_client",
    "oncomentor_cli",
    "testkit",
)
SHAPE = ("__main__", "app", "handlers", "jobs", "api", "store", "settings", "gateways", "domain")
ROOMS = ("process", "edge", "keeping", "hearing", "saying", "observing")  # from the top down
IMPURE = (
    "oncomentor_contracts", "servicekit", "aiokafka", "asyncpg", "fastapi", "faststream", "opentelemetry",
    "pydantic", "structlog", "asyncio", "logging", "os", "random", "time",
)  # fmt: skip
OUTSIDE_CONTRACTS = (
    *SERVICES, "servicekit", "devstack", "oncomentor_client", "oncomentor_cli", "testkit", "aiokafka",
    "asyncpg", "fastapi", "faststream", "httpx", "joserfc", "numpy", "opentelemetry", "structlog",
)  # fmt: skip

# rule -> (who imports, what it must not import)
FORBIDDEN: Mapping[str, tuple[tuple[str, str], ...]] = {
    "services never import each other": tuple(
        (f"{one}.jobs", f"{other}.store") for one in SERVICES for other in SERVICES if one != other
    ),
    "services know contracts and the kit alone": tuple(
        (f"{service}.handlers", other)
        for service in SERVICES
        for other in ("devstack", "oncomentor_client", "oncomentor_cli", "testkit")
    ),
    "the kit knows contracts alone": tuple(
        ("servicekit", other)
        for other in (*SERVICES, "devstack", "oncomentor_client", "oncomentor_cli", "testkit")
    ),
    "contracts know only pydantic and the standard library": tuple(
        ("oncomentor_contracts.topics", other) for other in OUTSIDE_CONTRACTS
    ),
    "the client knows contracts alone": tuple(
        ("oncomentor_client", other)
        for other in (*SERVICES, "servicekit", "devstack", "oncomentor_cli", "testkit")
    ),
    "the command knows no service and no kit": tuple(
        ("oncomentor_cli", other) for other in (*SERVICES, "servicekit", "testkit")
    ),
    "the embedded stack knows contracts alone": tuple(
        ("devstack", other)
        for other in (*SERVICES, "servicekit", "oncomentor_client", "oncomentor_cli", "testkit")
    ),
    "the kit's rooms build on each other in one order": (
        *((f"servicekit.{low}", f"servicekit.{high}") for high, low in pairwise(ROOMS)),
        ("servicekit.observing", "servicekit.process"),
        ("servicekit.edge", "servicekit.service"),
        ("servicekit.timers", "servicekit.hearing"),
        ("servicekit.claims", "servicekit.timers"),
        ("servicekit.saying", "servicekit.claims"),
        ("servicekit.waiting", "servicekit.timers"),
    ),
    "every service has the same shape": (
        ("profile_service.domain", "profile_service.store"),
        ("profile_service.domain", "profile_service.settings"),
        ("profile_service.store", "profile_service.handlers"),
        ("profile_service.store", "profile_service.settings"),
        ("profile_service.gateways", "profile_service.store"),
        ("profile_service.settings", "profile_service.app"),
        ("profile_service.handlers", "profile_service.api"),
        ("profile_service.jobs", "profile_service.handlers"),
        ("profile_service.api", "profile_service.app"),
        ("profile_service.app", "profile_service.__main__"),
        ("matching_service.domain.rules", "matching_service.engine.flow"),
        ("matching_service.engine.flow", "matching_service.store"),
    ),
    "domains are pure": tuple(
        (pure, other)
        for pure in ("profile_service.domain", "matching_service.domain.rules", "matching_service.engine.flow")
        for other in IMPURE
    ),
    "only app and the kit touch the broker": tuple(
        (f"scheduling_service.{part}", broker)
        for part in ("__main__", "handlers", "jobs", "api", "store", "settings", "gateways")
        for broker in ("faststream", "aiokafka", "confluent_kafka")
    ),
    "only stores and the kit touch the driver": tuple(
        (f"scheduling_service.{part}", "asyncpg")
        for part in ("__main__", "app", "handlers", "jobs", "api", "settings", "gateways")
    ),
}  # fmt: skip


def a_clean_tree(root: Path, folder: Path) -> Path:
    """Every package with every module of its shape, obeying every rule."""
    shutil.copy(root / "pyproject.toml", folder)
    modules = [f"{package}.__init__" for package in (*SERVICES, *OTHERS)]
    modules += [f"{service}.{part}" for service in SERVICES for part in SHAPE]
    modules += ["matching_service.domain.__init__", "matching_service.domain.rules"]
    modules += ["matching_service.engine.__init__", "matching_service.engine.flow"]
    modules += ["oncomentor_contracts.topics"]
    modules += [f"servicekit.{room}.__init__" for room in ROOMS]
    modules += [f"servicekit.{one}" for one in ("service", "timers", "waiting", "claims")]
    modules += ["servicekit.process.running", "servicekit.edge.ops"]
    modules.remove("matching_service.domain")  # a package there, a module elsewhere: both are right
    for module in modules:
        file_of(folder, module).parent.mkdir(parents=True, exist_ok=True)
        file_of(folder, module).touch()
    plant(folder, "profile_service.__main__", "profile_service.app")
    plant(folder, "profile_service.app", "profile_service.handlers", "faststream", "aiokafka")
    plant(
        folder,
        "profile_service.handlers",
        "profile_service.store",
        "servicekit",
        "oncomentor_contracts",
    )
    plant(folder, "profile_service.store", "profile_service.domain", "asyncpg", "servicekit")
    plant(folder, "matching_service.engine.flow", "matching_service.domain.rules", "numpy")
    plant(folder, "matching_service.domain.rules", "datetime")
    plant(folder, "servicekit", "oncomentor_contracts", "faststream", "asyncpg")
    plant(folder, "servicekit.process.running", "servicekit.service")  # types alone, in the kit
    plant(folder, "servicekit.edge.ops", "servicekit.process.running")
    plant(folder, "oncomentor_contracts.topics", "pydantic", "uuid")
    plant(folder, "oncomentor_cli", "oncomentor_client", "devstack", "oncomentor_contracts")
    plant(folder, "testkit", "servicekit", "devstack", "asyncpg")
    return folder


def file_of(folder: Path, module: str) -> Path:
    path = folder / module.replace(".", "/")
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def plant(folder: Path, importer: str, *imported: str) -> None:
    with file_of(folder, importer).open("a") as file:
        file.writelines(f"import {module}\n" for module in imported)


def broken(output: str) -> dict[str, str]:
    """What import-linter says of each broken contract, by name."""
    details = output.partition("Broken contracts")[2]
    parts = re.split(r"\n([^\n]+)\n-{3,}\n", details)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


@pytest.fixture(scope="module")
def complaints(root: Path, tool: Tool, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    tree = a_clean_tree(root, tmp_path_factory.mktemp("broken"))
    for pairs in FORBIDDEN.values():
        for importer, imported in pairs:
            plant(tree, importer, imported)
    (tree / "notification_service" / "helpers.py").touch()
    return broken(tool("lint-imports", ["--no-cache"], tree).stdout)


def test_a_tree_that_obeys_passes(root: Path, tool: Tool, tmp_path: Path) -> None:
    tree = a_clean_tree(root, tmp_path)

    done = tool("lint-imports", ["--no-cache"], tree)

    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("rule", "importer", "imported"),
    [(rule, *pair) for rule, pairs in FORBIDDEN.items() for pair in pairs],
)
def test_a_forbidden_import_is_caught(
    complaints: dict[str, str], rule: str, importer: str, imported: str
) -> None:
    said = complaints[rule]

    assert re.search(
        rf"^\s*(?:-|&)?\s*{re.escape(importer)} -> {re.escape(imported)} \(", said, re.MULTILINE
    ), said


def test_a_module_outside_the_shape_is_caught(complaints: dict[str, str]) -> None:
    said = complaints["every service has the same shape"]

    assert "notification_service.helpers" in said


def test_a_service_without_a_store_is_caught(root: Path, tool: Tool, tmp_path: Path) -> None:
    tree = a_clean_tree(root, tmp_path)
    (tree / "notification_service" / "store.py").unlink()

    done = tool("lint-imports", ["--no-cache"], tree)

    assert done.returncode != 0
    assert "notification_service.store" in done.stdout


def test_every_rule_has_its_proof(root: Path) -> None:
    config = tomllib.loads((root / "pyproject.toml").read_text())

    rules = {rule["name"] for rule in config["tool"]["importlinter"]["contracts"]}

    assert rules == FORBIDDEN.keys()
