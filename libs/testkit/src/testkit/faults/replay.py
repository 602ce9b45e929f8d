"""A single-threaded replay of the log into fresh tables, by the same handlers without the kernel."""

from collections.abc import Mapping
from datetime import UTC, datetime

from aiokafka.structs import ConsumerRecord

from oncomentor_contracts.envelope import EnvelopeError, from_headers
from oncomentor_contracts.event import Event
from oncomentor_contracts.events import BY_TYPE
from servicekit.subscription import Bulk
from servicekit.tx import Tx
from testkit.faults.service import subscriptions
from testkit.faults.state import PROJECTIONS, TABLES, Access, rows_of
from testkit.history import Evidence, Reader
from testkit.model import expected_of, place_of

Raw = Mapping[tuple[str, int, int], ConsumerRecord]


async def replayed(
    access: Access, reader: Reader, evidence: Evidence, raw: Raw
) -> dict[str, dict[str, str]]:
    """Return what each projection of a service holds when the log is applied record by record.

    The handlers write temporary tables that hide the real ones, in a transaction that is rolled
    back; what they say and set is lost with it.
    """
    handled = {
        event_type: handler
        for subscription in subscriptions(reader.database)
        for event_type, handler in subscription.handlers.items()
    }
    expected = expected_of(evidence, reader)
    async with access.to(reader.database) as conn:
        transaction = conn.transaction()
        await transaction.start()
        await conn.execute(f"SET LOCAL application_name = 'replay of {reader.database}'")
        for table in ("heard", *TABLES[reader.database]):
            await conn.execute(
                f"CREATE TEMP TABLE {table} (LIKE public.{table} INCLUDING ALL) ON COMMIT DROP"
            )
        tx = Tx(conn, datetime.now(UTC), source=f"/services/{reader.database}")
        for topic, records in expected.applied.items():
            if reader.topics[topic] == "ingress":
                continue
            for record in records:
                event = _event(raw[place_of(record)])
                if event is None or type(event) not in handled:
                    continue
                handler = handled[type(event)]
                await (
                    handler.handle([event], tx) if isinstance(handler, Bulk) else handler(event, tx)
                )
        found = {
            table: await rows_of(conn, reader.database, f"pg_temp.{table}")
            for table in PROJECTIONS.get(reader.database, ())
        }
        await transaction.rollback()
    return found


def _event(record: ConsumerRecord) -> Event | None:
    try:
        envelope = from_headers(record.headers)
    except EnvelopeError:
        return None
    event_class = BY_TYPE.get(envelope.type)
    return event_class.received(envelope, record.value) if event_class else None
