"""`oncomentor doctor`: what is wrong with a network, and how to mend it."""

import json
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from importlib.metadata import version
from typing import Any

import httpx
import typer

from devstack.containers import PORTS, UP, Containers
from devstack.errors import DevstackError
from devstack.service import SERVICE_NAMES
from devstack.stack import Stack
from devstack.state import is_free
from oncomentor_cli.console import emit, show
from oncomentor_cli.exits import Exit
from oncomentor_cli.network import Against, network
from oncomentor_cli.table import show_table

_OLDEST_COMPOSE = (2, 24)  # knows `secrets` with a target in a folder, and `depends_on` in jobs
_TIMEOUT_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    about: str
    problem: str = ""
    """Empty where all is well."""
    fix: str = ""


def run(against: Against, *, as_json: bool) -> None:
    """Print what was found; exit code 1 when something is wrong."""
    found = network(against, lambda _: None)
    findings = list(_of_containers(found) if isinstance(found, Containers) else _of_stack(found))
    if as_json:
        for one in findings:
            emit({"about": one.about, "problem": one.problem, "fix": one.fix})
    else:
        rows = [(one.about, one.problem or "well", one.fix) for one in findings]
        show_table(("what", "how it is", "what to do"), rows)
    if wrong := sum(bool(one.problem) for one in findings):
        if not as_json:
            show(f"{wrong} of {len(findings)} need somebody")
        raise typer.Exit(Exit.FAILED)


def _of_stack(stack: Stack) -> Iterator[Finding]:
    for part in stack.status():
        if part.name in SERVICE_NAMES and part.state != "down":
            yield _own_word(part.name, part.address, f"oncomentor dev logs {part.name}")
        else:
            problem = "" if part.state == "up" else part.state
            yield Finding(
                part.name, problem, f"oncomentor dev up; its log: {part.log}" * bool(problem)
            )


def _of_containers(containers: Containers) -> Iterator[Finding]:
    missing = containers.missing()
    yield Finding(
        "secrets",
        f"missing or empty: {', '.join(missing)}" if missing else "",
        "put them back from a backup; only where nothing has run yet: make secrets" * bool(missing),
    )
    engine = _engine()
    yield engine
    if engine.problem or not containers.environment_file.exists():
        return
    parts = _parts(containers)
    for name in PORTS:
        yield _port(containers, name, parts)
    yield from _stores(containers, parts)
    for name in PORTS:
        if name not in parts:
            yield Finding(name, "has no container", UP)
    for name, part in sorted(parts.items()):
        yield _container(name, part)
    for name in SERVICE_NAMES:
        if parts.get(name, {}).get("State") == "running":
            yield _own_word(f"{name}, its own word", containers.address(name), _logs(name))


def _engine() -> Finding:
    about = "docker engine and compose"
    try:
        told = _docker("version", "--format", "{{.Server.Version}}")
        known = _docker("compose", "version", "--short").removeprefix("v")
    except (OSError, subprocess.SubprocessError) as error:
        said = getattr(error, "stderr", "") or str(error)
        lines = str(said).strip().splitlines() or ["no answer"]
        return Finding(about, lines[-1][:200], "install or start Docker with its compose plugin")
    if tuple(int(part) for part in known.split("-")[0].split(".")[:2]) < _OLDEST_COMPOSE:
        least = ".".join(map(str, _OLDEST_COMPOSE))
        return Finding(about, f"compose {known} is too old", f"install compose {least} or newer")
    return Finding(f"{about} ({told}, {known})")


def _port(containers: Containers, name: str, parts: Mapping[str, Any]) -> Finding:
    address = containers.address(name)
    about = f"port {address} of {name}"
    is_ours = parts.get(name, {}).get("State") == "running"
    if is_ours or is_free(int(address.rsplit(":", 1)[1])):
        return Finding(about)
    fix = f"end what listens there, or put another port into {containers.environment_file}; {UP}"
    return Finding(about, "is taken by somebody else", fix)


def _stores(containers: Containers, parts: Mapping[str, Any]) -> Iterator[Finding]:
    """Do volumes and secrets belong together?"""
    together = "the volume was made with other secrets: put those back, or delete the volume"
    if parts.get("kafka", {}).get("Health") == "healthy":
        try:
            containers.broker().admin().wait_ready()
        except DevstackError as error:
            yield Finding("kafka's volume", str(error).partition(",")[0], together)
        else:
            yield Finding("kafka's volume")
    if parts.get("postgres", {}).get("Health") == "healthy":
        ask = 'PGPASSWORD=$(cat /run/secrets/superuser) psql -h 127.0.0.1 -U postgres -c "SELECT 1"'
        try:
            _compose(containers, "exec", "-T", "postgres", "sh", "-c", ask)
        except subprocess.SubprocessError:
            yield Finding("postgres's volume", "PostgreSQL refuses the stored password", together)
        else:
            yield Finding("postgres's volume")


def _container(name: str, part: Mapping[str, Any]) -> Finding:
    state, health, code = part["State"], part.get("Health") or "", part.get("ExitCode", 0)
    ended_well = state == "exited" and code == 0 and name.endswith(("-set-up", "-migrations"))
    told = part.get("Version", "")
    if told and told != version("oncomentor-cli"):
        here = version("oncomentor-cli")
        return Finding(name, f"its image is of {told}, this checkout is {here}", UP)
    if ended_well or (state == "running" and health in {"", "healthy"}):
        return Finding(name)
    problem = f"{state}{f', {health}' if health else ''}{f', exit code {code}' if code else ''}"
    return Finding(name, problem, f"{_logs(name)}; then {UP}")


def _own_word(about: str, address: str, log: str) -> Finding:
    try:
        answer = httpx.get(f"http://{address}/health/ready", timeout=_TIMEOUT_SECONDS)
        told: Mapping[str, Any] = answer.json()
    except (httpx.HTTPError, ValueError) as error:
        return Finding(about, f"no answer ({type(error).__name__})", log)
    reasons = "; ".join(told.get("missing", ()))
    if answer.status_code == HTTPStatus.OK and not reasons:
        return Finding(about)
    return Finding(about, reasons or str(told.get("status")), f"{log}; docs/runbooks")


def _parts(containers: Containers) -> dict[str, dict[str, Any]]:
    """Return what compose knows of each part, with the version that its image says."""
    listed = _compose(containers, "ps", "--all", "--format", "json").splitlines()
    parts = {one["Service"]: one for one in map(json.loads, filter(None, listed))}
    label = '{{index .Config.Labels "org.opencontainers.image.version"}}'
    for part in parts.values():
        if "oncomentor/" in part.get("Image", ""):
            part["Version"] = _docker("inspect", "--format", label, part["ID"])
    return parts


def _compose(containers: Containers, *arguments: str) -> str:
    return _docker("compose", "--env-file", str(containers.environment_file), *arguments)


def _docker(*arguments: str) -> str:
    done = subprocess.run(
        ("docker", *arguments), capture_output=True, text=True, timeout=60, check=True
    )
    return done.stdout.strip()


def _logs(name: str) -> str:
    return f"docker compose logs {name} --tail 20"
