"""A service: what it is made of, how it starts, runs and ends."""

import argparse
import asyncio
import dataclasses
import importlib.resources
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar, get_args

from fastapi import APIRouter
from pydantic import ValidationError

from servicekit import backoff, kafka
from servicekit.errors import EndedError, StartupError, TransientError
from servicekit.observing import log, telemetry
from servicekit.process import migrate, serving, startup
from servicekit.saying import reconcile
from servicekit.settings import Settings
from servicekit.subscription import Effect, Job, Subscription

# One that ends this soon is likely to end again. What starts it anew (Docker, Kubernetes, a
# supervisor) may do so at once, so it waits before it exits; longer waits are theirs to add.
_SOON_SECONDS = 60.0
_WAIT_SECONDS = 8.0
_log = log.logger(__name__)
S = TypeVar("S", bound=Settings)


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """Everything a service is made of; built once by its `app.build`."""

    name: str
    settings: Settings
    subscriptions: Sequence[Subscription]
    migrations: Path
    jobs: Mapping[str, Job] = field(default_factory=dict)
    effects: Mapping[str, Effect] = field(default_factory=dict)
    routers: Sequence[APIRouter] = ()


def main(settings_type: type[S], build: Callable[[S], Service]) -> None:
    """Run a service's command line: run it, `--migrate` its database, or `--check` and end.

    Exits with 1 and one line on stderr when that fails.
    """
    arguments = _arguments()
    began = time.monotonic()
    if reason := _try(settings_type, build, arguments):
        sys.stderr.write(f"{reason}\n")
        sys.stderr.flush()
        stays = not (arguments.migrate or arguments.reconcile or arguments.check)
        if stays and time.monotonic() - began < _SOON_SECONDS:
            time.sleep(backoff.delay(1, first=_WAIT_SECONDS))
        sys.exit(1)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="Settings come from the environment (ONCOMENTOR_*), secrets from files."
    )
    parser.add_argument(
        "--migrate",
        nargs="?",
        const="all",
        choices=get_args(migrate.Phase),
        help="apply migrations as the owner and end: all, or pre before and post after a roll-out",
    )
    parser.add_argument(
        "--reconcile", action="store_true", help="after a restore: count on from Kafka, end"
    )
    parser.add_argument("--check", action="store_true", help="check settings and connections, end")
    return parser.parse_args()


def _try(
    settings_type: type[S], build: Callable[[S], Service], arguments: argparse.Namespace
) -> str:
    """Do what was asked; return why that did not work, in one sentence, or nothing."""
    try:
        settings = settings_type()
        service = build(settings)
        log.configure(service.name, settings.log_level)
        if arguments.migrate:
            asyncio.run(_migrate(service, arguments.migrate))
        elif arguments.reconcile:
            asyncio.run(_reconcile(service))
        else:
            asyncio.run(_check_and_run(service, only_check=arguments.check))
    except ValidationError as error:
        wrong = "; ".join(
            f"ONCOMENTOR_{'_'.join(map(str, e['loc'])).upper()}: {e['msg']}" for e in error.errors()
        )
        return f"settings: {wrong}"
    except (StartupError, TransientError) as error:
        return f"cannot start: {error}"
    except EndedError as error:
        return f"stopped: {error}"
    except Exception as error:  # noqa: BLE001 - told like all others, without what it may quote
        _log.error("crashed", exc_info=error)
        return f"crashed: {type(error).__name__}: report the log line crashed"
    return ""


async def _migrate(service: Service, phase: migrate.Phase) -> None:
    settings = service.settings
    if settings.database_owner_user is None or settings.database_owner_password_file is None:
        raise StartupError(
            "--migrate needs ONCOMENTOR_DATABASE_OWNER_USER and _OWNER_PASSWORD_FILE"
        )
    dsn = settings.dsn(settings.database_owner_user, settings.database_owner_password_file)
    conn = await startup.connect(dsn)
    try:
        migrations = migrate.read(service.migrations)
        applied = await migrate.apply(conn, migrations, phase=phase, service=service.name)
    finally:
        await conn.close()
    _log.info("migrated", applied=applied)


async def _reconcile(service: Service) -> None:
    settings = service.settings
    dsn = settings.dsn(settings.database_worker_user, settings.database_worker_password_file)
    conn = await startup.connect(dsn)
    try:
        done = await reconcile.reconcile(
            conn,
            name=service.name,
            source=f"/services/{service.name}",
            client=kafka.client_arguments(settings),
        )
    finally:
        await conn.close()
    _log.info("reconciled", **dataclasses.asdict(done))


async def _check_and_run(service: Service, *, only_check: bool) -> None:
    await startup.check(service, insist=only_check)
    if only_check:
        return
    with telemetry.exporting(service.name, service.settings):
        await serving.run(service)


def packaged(package: str) -> Path:
    """Return the folder `migrations` of an installed package."""
    return Path(str(importlib.resources.files(package))) / "migrations"
