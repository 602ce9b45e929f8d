"""A service: what it is made of, how it starts, runs and ends."""

import argparse
import asyncio
import dataclasses
import importlib.resources
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import asyncpg
from fastapi import APIRouter
from pydantic import ValidationError

from servicekit import kafka, log, migrate, reconcile, serving
from servicekit.errors import EndedError, StartupError, TransientError
from servicekit.settings import Settings
from servicekit.subscription import Effect, Job, Subscription

if TYPE_CHECKING:
    from servicekit.tx import Connection

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
    """Run a service's command line: run it, `--migrate` its database, or `--check` and end."""
    parser = argparse.ArgumentParser(
        description="Settings come from the environment (ONCOMENTOR_*), secrets from files."
    )
    parser.add_argument("--migrate", action="store_true", help="apply migrations as the owner, end")
    parser.add_argument(
        "--reconcile", action="store_true", help="after a restore: count on from Kafka, end"
    )
    parser.add_argument("--check", action="store_true", help="check settings and connections, end")
    arguments = parser.parse_args()
    try:
        settings = settings_type()
        service = build(settings)
        log.configure(service.name, settings.log_level)
        if arguments.migrate:
            asyncio.run(_migrate(service))
        elif arguments.reconcile:
            asyncio.run(_reconcile(service))
        else:
            asyncio.run(_check_and_run(service, only_check=arguments.check))
    except ValidationError as error:
        wrong = "; ".join(
            f"ONCOMENTOR_{'_'.join(map(str, e['loc'])).upper()}: {e['msg']}" for e in error.errors()
        )
        sys.exit(f"settings: {wrong}")
    except (StartupError, TransientError) as error:
        sys.exit(f"cannot start: {error}")
    except EndedError as error:
        sys.exit(f"stopped: {error}")


async def _migrate(service: Service) -> None:
    settings = service.settings
    if settings.database_owner_user is None or settings.database_owner_password_file is None:
        raise StartupError(
            "--migrate needs ONCOMENTOR_DATABASE_OWNER_USER and _OWNER_PASSWORD_FILE"
        )
    dsn = settings.dsn(settings.database_owner_user, settings.database_owner_password_file)
    conn = await _connect(dsn)
    try:
        applied = await migrate.apply(conn, migrate.read(service.migrations))
    finally:
        await conn.close()
    _log.info("migrated", applied=applied)


async def _reconcile(service: Service) -> None:
    settings = service.settings
    dsn = settings.dsn(settings.database_worker_user, settings.database_worker_password_file)
    conn = await _connect(dsn)
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
    await _check(service)
    if not only_check:
        await serving.run(service)


async def _check(service: Service) -> None:
    """Refuse to start, in one sentence, on a wrong database, an old schema or a missing topic."""
    settings = service.settings
    for user, password_file in (
        (settings.database_worker_user, settings.database_worker_password_file),
        (settings.database_api_user, settings.database_api_password_file),
    ):
        conn = await _connect(settings.dsn(user, password_file))
        try:
            missing = await migrate.pending(conn, migrate.read(service.migrations))
        except asyncpg.UndefinedTableError:
            missing = migrate.read(service.migrations)
        finally:
            await conn.close()
        if missing:
            raise StartupError(
                f"database {settings.database_name} lacks migration {missing[0].name}: "
                f"run python -m {service.name}_service --migrate"
            )
    await _check_topics(service)
    _log.info("checked", service=service.name)


async def _check_topics(service: Service) -> None:
    """Refuse a missing topic or right; a Kafka that does not answer is waited for later."""
    settings = service.settings
    topics = {s.topic.name for s in service.subscriptions if not s.topic.is_template}
    try:
        absent = topics - set(await kafka.topic_ids(settings, topics))
    except TransientError as error:
        _log.warning("topics_not_checked", service=service.name, error=str(error))
        return
    if absent:
        raise StartupError(
            f"topics {', '.join(sorted(absent))} are missing or {settings.kafka_username} may not "
            "read them: create them from deploy/kafka/topics.toml"
        )


async def _connect(dsn: str) -> "Connection":
    try:
        return await asyncpg.connect(dsn, timeout=10)
    except (OSError, TimeoutError, asyncpg.PostgresError) as error:
        raise StartupError(
            f"PostgreSQL refused us: {type(error).__name__}: {error}; "
            "check ONCOMENTOR_DATABASE_HOST, _PORT, _NAME and the role's password file"
        ) from error


def packaged(package: str) -> Path:
    """Return the folder `migrations` of an installed package."""
    return Path(str(importlib.resources.files(package))) / "migrations"
