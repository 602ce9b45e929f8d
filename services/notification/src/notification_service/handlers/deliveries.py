"""The service's own delivery topic: one half takes intents to send, the other learns outcomes.

After a rebuild both get their memory back from here.
"""

from collections.abc import Sequence

from notification_service.domain import work
from notification_service.store import deliveries, mails
from oncomentor_contracts.event import DeliveryId, Event
from oncomentor_contracts.notification import (
    Channel,
    DeliveryFailed,
    DeliveryIntended,
    DeliverySent,
    Template,
)
from servicekit.errors import UnprocessableError
from servicekit.tx import Tx

_CAN_RENDER = {Template.MATCH_OFFERED, Template.SESSION_INVITATION, Template.SESSION_UNBOOKABLE}


async def queue_mail(event: DeliveryIntended, tx: Tx) -> Sequence[Event]:
    """Take a mail to send; the same intent heard again changes nothing.

    Raises:
        UnprocessableError: a newer deciding half wants a template or channel that this version
            does not have, or an invitation without its facts; kept for redrive.
    """
    if event.template not in _CAN_RENDER or event.channel is not Channel.MAIL:
        raise UnprocessableError(f"delivery {event.delivery_id}: no such template or channel here")
    if event.template is Template.SESSION_INVITATION and event.invitation is None:
        raise UnprocessableError(f"delivery {event.delivery_id}: an invitation without a session")

    intended_at = event.envelope.time
    await deliveries.insert_delivery(tx, deliveries.of_intent(event, intended_at))
    if await mails.insert_mail(tx, event.delivery_id, event.model_dump_json(), intended_at):
        await tx.schedule(work.PREPARE_MAIL, str(event.delivery_id), tx.now)
    return []


async def note_sent(event: DeliverySent, tx: Tx) -> Sequence[Event]:
    """Note that a delivery went out; nothing more is tried."""
    await deliveries.update_settled(tx, event.delivery_id, event.sent_at, reason=None)
    await _stop_trying(event.delivery_id, "sent", tx)
    return []


async def note_failed(event: DeliveryFailed, tx: Tx) -> Sequence[Event]:
    """Note that a delivery will not go out; nothing more is tried."""
    await deliveries.update_settled(
        tx, event.delivery_id, event.envelope.time, reason=event.reason.value
    )
    await _stop_trying(event.delivery_id, "failed", tx)
    return []


async def _stop_trying(delivery_id: DeliveryId, state: str, tx: Tx) -> None:
    """Settle the mail: news to a service that is being rebuilt, which must not send it again."""
    await mails.update_state(tx, delivery_id, state)
    await tx.cancel(work.PREPARE_MAIL, str(delivery_id))
    await tx.cancel(work.SEND_MAIL, str(delivery_id))
