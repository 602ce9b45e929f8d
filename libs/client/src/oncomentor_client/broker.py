"""Logging in to Kafka, and what its failures mean for us."""

import asyncio
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.conn import create_conn
from aiokafka.errors import (
    AuthenticationFailedError,
    GroupAuthorizationFailedError,
    IllegalSaslStateError,
    KafkaConnectionError,
    KafkaError,
    SaslAuthenticationFailed,
    TopicAuthorizationFailedError,
    UnknownTopicOrPartitionError,
    UnsupportedSaslMechanismError,
)

from oncomentor_client.credentials import KafkaAccess
from oncomentor_client.errors import ClientError, RefusedError, UnreachableError

_STOP_SECONDS = 5.0
_LOGIN = (
    AuthenticationFailedError,
    IllegalSaslStateError,
    SaslAuthenticationFailed,
    UnsupportedSaslMechanismError,
)
_RIGHTS = (
    GroupAuthorizationFailedError,
    TopicAuthorizationFailedError,
    UnknownTopicOrPartitionError,
)


def login(access: KafkaAccess) -> dict[str, Any]:
    """Return the settings by which any aiokafka client logs in."""
    secured = access.security == "SASL_SSL"
    return {
        "bootstrap_servers": access.bootstrap,
        "security_protocol": access.security,
        "ssl_context": ssl.create_default_context() if secured else None,
        "sasl_mechanism": "SCRAM-SHA-512",
        "sasl_plain_username": access.username,
        "sasl_plain_password": access.password,
    }


def is_final(error: BaseException) -> bool:
    """Return whether trying again can't help."""
    return isinstance(error, _LOGIN + _RIGHTS)


def client_error(error: KafkaError, access: KafkaAccess, topic: str) -> ClientError:
    """Return what to tell the user of this failure."""
    if isinstance(error, _LOGIN):
        return RefusedError(
            f"Kafka at {access.bootstrap} refuses the login of {access.username}: ask your "
            "operator for a new credentials file"
        )
    if isinstance(error, GroupAuthorizationFailedError):
        return RefusedError(
            f"{access.username} may not read in that consumer group: choose one whose name begins "
            f"with '{access.group_prefix}'"
        )
    if isinstance(error, _RIGHTS):
        return RefusedError(
            f"{access.username} has no right to the topic {topic}, or there is no such topic: ask "
            "your operator to provision the center"
        )
    return UnreachableError(
        f"Kafka at {access.bootstrap} does not answer ({type(error).__name__}): check that it "
        "runs (embedded stack: 'oncomentor dev up'), then run the same command again"
    )


async def start(
    client: AIOKafkaConsumer | AIOKafkaProducer, access: KafkaAccess, topic: str
) -> None:
    """Start a client; one that can't be started is stopped again.

    Raises:
        UnreachableError: the broker doesn't answer; try again later.
        RefusedError: the login is refused, or the right to the topic.
    """
    try:
        await client.start()
    except (KafkaError, OSError) as error:
        await stop(client)
        cause = error if isinstance(error, KafkaError) else KafkaConnectionError(str(error))
        if isinstance(cause, KafkaConnectionError):
            cause = await _login_error(access) or cause
        raise client_error(cause, access, topic) from error
    except BaseException:
        await stop(client)
        raise


async def stop(client: AIOKafkaConsumer | AIOKafkaProducer) -> None:
    """Stop a client. What it can't do any more, its broker being gone, is left undone.

    A consumer that is retrying a fetch lets the cancellation of its own task out of `stop` (seen
    with aiokafka 0.14); unless we are cancelled ourselves, that must not hide why we stop.
    """
    task = asyncio.current_task()
    try:
        async with asyncio.timeout(_STOP_SECONDS):
            await client.stop()
    except asyncio.CancelledError:
        if task is None or task.cancelling():
            raise
    except (KafkaError, OSError, TimeoutError):
        return


async def _login_error(access: KafkaAccess) -> KafkaError | None:
    """Return why the broker refuses the login: starting a client tells only that it can't be used."""
    settings = login(access)
    host, _, port = settings.pop("bootstrap_servers").split(",")[0].rpartition(":")
    try:
        connection = await create_conn(host, int(port), request_timeout_ms=5_000, **settings)
    except _LOGIN as error:
        return error
    except (KafkaError, OSError, TimeoutError):
        return None
    connection.close()
    return None


@contextmanager
def translated(access: KafkaAccess, topic: str) -> Iterator[None]:
    """Turn the driver's errors into ours."""
    try:
        yield
    except KafkaError as error:
        raise client_error(error, access, topic) from error
    except OSError as error:
        raise client_error(KafkaError(), access, topic) from error
