"""What a running Kafka and PostgreSQL are set up as: plain values, to be compared."""

from collections.abc import Mapping
from typing import Any

import asyncpg
from confluent_kafka.admin import (  # type: ignore[attr-defined] # it forgets to say what it exports
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ConfigResource,
    ConfigSource,
    ResourcePatternType,
    ResourceType,
)

from devstack.broker import Broker

Standing = dict[str, Any]
_INTERNAL = "__"
_SECONDS = 20.0


def kafka_standing(broker: Broker) -> Standing:
    """Return topics with partitions and their own settings, rights, and SCRAM users."""
    admin = AdminClient(broker.client_config())
    topics = {
        name: len(topic.partitions)
        for name, topic in admin.list_topics(timeout=_SECONDS).topics.items()
        if not name.startswith(_INTERNAL)
    }
    resources = [ConfigResource(ResourceType.TOPIC, name) for name in topics]
    configs = {
        resource.name: {
            name: entry.value
            for name, entry in job.result().items()
            if entry.source == ConfigSource.DYNAMIC_TOPIC_CONFIG.value
        }
        for resource, job in admin.describe_configs(resources).items()
    }
    anything = AclBindingFilter(
        ResourceType.ANY,
        None,  # type: ignore[arg-type] # None means any, says its own documentation
        ResourcePatternType.ANY,
        None,  # type: ignore[arg-type] # the same
        None,  # type: ignore[arg-type] # the same
        AclOperation.ANY,
        AclPermissionType.ANY,
    )
    rights = {
        (
            one.principal, one.restype.name, one.resource_pattern_type.name, one.name,
            one.operation.name, one.permission_type.name, one.host,
        )
        for one in admin.describe_acls(anything).result()
    }  # fmt: skip
    users: Any = admin.describe_user_scram_credentials()
    return {
        "topics": topics,
        "configs": configs,
        "rights": rights,
        # The embedded broker logs in with SCRAM too, at its own listener.
        "users": set(users.result()) - {"broker"},
    }


async def postgres_standing(dsn: str) -> Standing:
    """Return databases with owner and rights, roles with attributes and memberships."""
    conn = await asyncpg.connect(dsn)
    try:
        return {
            "databases": await _rows(
                conn,
                """
                SELECT datname, pg_get_userbyid(datdba) AS owner, datacl::text[],
                       pg_encoding_to_char(encoding) AS encoding, datlocprovider, datlocale
                  FROM pg_database WHERE NOT datistemplate
                """,
            ),
            "roles": await _rows(
                conn,
                """
                SELECT rolname, rolsuper, rolinherit, rolcreaterole, rolcreatedb, rolcanlogin,
                       rolreplication, rolbypassrls, left(rolpassword, 13) AS password
                  FROM pg_authid WHERE rolname !~ '^pg_'
                """,
            ),
            "memberships": await _rows(
                conn,
                """
                SELECT pg_get_userbyid(roleid) AS role, pg_get_userbyid(member) AS member
                  FROM pg_auth_members WHERE pg_get_userbyid(roleid) !~ '^pg_'
                """,
            ),
        }
    finally:
        await conn.close()


async def _rows(conn: "asyncpg.Connection[Any]", sql: str) -> list[Mapping[str, Any]]:
    rows = [dict(row) for row in await conn.fetch(sql)]
    return sorted(rows, key=str)
