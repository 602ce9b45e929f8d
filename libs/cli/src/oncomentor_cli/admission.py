"""Waiting until a center that was just let in can really log in.

The broker takes new users and rights in a moment after it has said yes to them (KRaft brokers
follow the metadata log), so a login right after provisioning may still be refused.
"""

import asyncio
import time
from collections.abc import Iterable

from oncomentor_client.credentials import Credentials
from oncomentor_client.errors import RefusedError
from oncomentor_client.subscriber import Subscriber
from oncomentor_contracts import topics

_LONGEST_SECONDS = 30.0
_POLL_SECONDS = 0.2


async def wait_until_admitted(centers: Iterable[Credentials]) -> None:
    """Return when each center can read its own topics.

    Raises:
        RefusedError: one still can't after half a minute.
        UnreachableError: the broker is not there.
    """
    await asyncio.gather(*(_admitted(center) for center in centers))


async def _admitted(center: Credentials) -> None:
    deadline = time.monotonic() + _LONGEST_SECONDS
    for topic in (topics.EGRESS_RECEIPT, topics.EGRESS_MATCH):
        name = topic.named(center.institution_id)
        while True:
            try:
                async with Subscriber(center, name):
                    break
            except RefusedError:
                if time.monotonic() > deadline:
                    raise
            await asyncio.sleep(_POLL_SECONDS)
