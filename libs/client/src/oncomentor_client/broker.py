"""Logging in to Kafka, and what its failures mean for us."""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from aiokafka.errors import (
    AuthenticationFailedError,
    GroupAuthorizationFailedError,
    IllegalSaslStateError,
    KafkaError,
    SaslAuthenticationFailed,
    TopicAuthorizationFailedError,
    UnknownTopicOrPartitionError,
    UnsupportedSaslMechanismError,
)

from oncomentor_client.credentials import KafkaAccess
from oncomentor_client.errors import ClientError, RefusedError, UnreachableError

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
    if isinstance(error, _RIGHTS):
        return RefusedError(
            f"{access.username} has no right to the topic {topic}, or there is no such topic: ask "
            "your operator to provision the center"
        )
    return UnreachableError(
        f"Kafka at {access.bootstrap} does not answer ({type(error).__name__}): check that it "
        "runs (embedded stack: 'oncomentor dev up'), then run the same command again"
    )


@contextmanager
def translated(access: KafkaAccess, topic: str) -> Iterator[None]:
    """Turn the driver's errors into ours."""
    try:
        yield
    except KafkaError as error:
        raise client_error(error, access, topic) from error
    except OSError as error:
        raise client_error(KafkaError(), access, topic) from error
