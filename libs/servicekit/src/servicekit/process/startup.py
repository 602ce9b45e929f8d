"""What a service makes sure of before it starts; each refusal is one sentence that names the fix."""

from typing import TYPE_CHECKING

import asyncpg

from oncomentor_contracts.topics import TOPICS
from servicekit import kafka
from servicekit.errors import StartupError, TransientError
from servicekit.observing import log
from servicekit.process import migrate

if TYPE_CHECKING:
    from servicekit.service import Service
    from servicekit.tx import Connection

_log = log.logger(__name__)


async def check(service: "Service", *, insist: bool) -> None:
    """Refuse a wrong database, an old or newer schema, a missing topic, right or password.

    A Kafka that does not answer is waited for later, unless we `insist`.

    Raises:
        StartupError: with the sentence.
        TransientError: we insist, and Kafka is away.
    """
    settings = service.settings
    for user, password_file in (
        (settings.database_worker_user, settings.database_worker_password_file),
        (settings.database_api_user, settings.database_api_password_file),
    ):
        conn = await connect(settings.dsn(user, password_file))
        try:
            await _check_schema(conn, service)
        finally:
            await conn.close()
    try:
        await _check_kafka(service)
    except TransientError as error:
        if insist:
            raise
        _log.warning("kafka_not_checked", service=service.name, error=str(error))
    _log.info("checked", service=service.name)


async def connect(dsn: str) -> "Connection":
    """Return a connection.

    Raises:
        StartupError: PostgreSQL is away or refused us.
    """
    try:
        return await asyncpg.connect(dsn, timeout=10)
    except (OSError, TimeoutError, asyncpg.PostgresError) as error:
        raise StartupError(
            f"PostgreSQL refused us: {type(error).__name__}: {error}; "
            "check ONCOMENTOR_DATABASE_HOST, _PORT, _NAME and the role's password file"
        ) from error


async def _check_schema(conn: "Connection", service: "Service") -> None:
    known = migrate.read(service.migrations)
    try:
        await migrate.require_owner(conn, service.name)
        missing = await migrate.pending(conn, known)
    except asyncpg.UndefinedTableError:
        missing = known
    except asyncpg.InsufficientPrivilegeError as error:
        raise StartupError(
            f"the role {service.settings.database_worker_user} or "
            f"{service.settings.database_api_user} may not read database "
            f"{service.settings.database_name}: run deploy/postgres/service.sql on it, then "
            "--migrate"
        ) from error
    needed = [migration for migration in missing if migration.phase != "post"]
    if needed:
        raise StartupError(
            f"database {service.settings.database_name} lacks migration {needed[0].name}: "
            f"run python -m {service.name}_service --migrate"
        )


async def _check_kafka(service: "Service") -> None:
    """Refuse missing topics and rights; those of one center's topics show as it works."""
    fixed = [topic for topic in TOPICS if not topic.is_template]
    heard = {s.topic.name for s in service.subscriptions if not s.topic.is_template}
    said = {topic.name for topic in fixed if service.name in topic.writers}
    user = service.settings.kafka_username
    found = await kafka.rights(
        service.settings, heard | said, f"{service.name}.network" if heard else None
    )
    if absent := sorted((heard | said) - found.topics.keys()):
        raise StartupError(
            f"topics {', '.join(absent)} are missing or {user} may not see them: create them "
            "and their rights from deploy/kafka/topics.toml"
        )
    # Its relay looks at what others wrote into its topics (docs/adr/0010).
    lacking = [f"READ on topic {t}" for t in sorted(heard | said) if "READ" not in found.topics[t]]
    lacking += [f"WRITE on topic {t}" for t in sorted(said) if "WRITE" not in found.topics[t]]
    lacking += [f"READ on group prefix {service.name}."] if not found.group else []
    if lacking:
        raise StartupError(
            f"Kafka user {user} lacks {', '.join(lacking)}: give it the rights of "
            "deploy/kafka/topics.toml"
        )
