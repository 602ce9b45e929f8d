"""Waiting until a new user is really let in: the broker learns of users and rights a little later."""

import time
from collections.abc import Collection

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from devstack.errors import DevstackError
from devstack.kafka_admin import client_config

_ADMISSION_SECONDS = 30.0


def wait_admitted(bootstrap: str, user: str, password: str, topics: Collection[str]) -> None:
    """Wait until the user can log in and sees these topics.

    The controller has taken the change, but a broker that is short of processor time replays it
    later; a client that comes in between is refused, and most clients take that as final.

    Raises:
        DevstackError: it takes too long.
    """
    deadline = time.monotonic() + _ADMISSION_SECONDS
    missing = set(topics)
    while time.monotonic() < deadline:
        # A client that was refused once tries again ever more slowly: take a new one each time.
        client = AdminClient(client_config(bootstrap, user, password))
        try:
            seen = client.list_topics(timeout=1.0).topics
            missing = set(topics) - {name for name, topic in seen.items() if topic.error is None}
            if not missing:
                return
        except KafkaException:
            pass
        time.sleep(0.05)
    raise DevstackError(
        f"Kafka has not let {user} in after {_ADMISSION_SECONDS:.0f} s "
        f"(not seen: {', '.join(sorted(missing))}); run this again"
    )
