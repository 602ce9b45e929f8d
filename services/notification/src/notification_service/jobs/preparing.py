"""Getting together what a mail takes; it waits for what other topics have not brought yet."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from notification_service.domain import work
from notification_service.domain.dispatch import Needs, Stop, WaitUntil, next_step
from notification_service.jobs.order import MailOrder, SealedName
from notification_service.store import mails, registry
from oncomentor_contracts.event import Event
from oncomentor_contracts.notification import DeliveryFailed, DeliveryIntended, FailureReason
from oncomentor_contracts.programme import ProgrammeKind
from servicekit.subscription import Timer
from servicekit.tx import Tx

# Taking part in one of these says nothing about one's health; a kind we don't know might.
_HARMLESS: Final = {
    ProgrammeKind.RESEARCH.value,
    ProgrammeKind.CLINICAL.value,
    ProgrammeKind.LEADERSHIP.value,
}


async def prepare_mail(timer: Timer, tx: Tx) -> Sequence[Event]:
    """Have a mail sent once contact, key and link are there; look again later until then.

    Every attempt comes through here and takes the facts as they stand, so what was corrected
    or erased since the last one counts. The attempt is counted before the mail server is
    spoken to.

    Emits:
        DeliveryFailed: what it needs did not come in time, or it is too late to be of use.
    """
    mail = await mails.lock_mail(tx, UUID(timer.key))
    if mail is None or mail.is_settled:
        return []
    intent = DeliveryIntended.model_validate_json(mail.intent)
    found = await _Found.gather(tx, intent)

    step = next_step(
        found.needs(intent), intended_at=mail.intended_at, moot_at=_moot_at(intent), now=tx.now
    )
    if isinstance(step, Stop):
        return await fail(intent.delivery_id, FailureReason(step.reason.value), tx)
    if isinstance(step, WaitUntil):
        await tx.schedule(work.PREPARE_MAIL, timer.key, step.at)
        return []
    order = found.order(intent, mail.intended_at)
    await mails.update_attempted(tx, mail.delivery_id)
    await tx.schedule(work.SEND_MAIL, timer.key, tx.now, order.model_dump(mode="json"))
    return []


async def fail(delivery_id: UUID, reason: FailureReason, tx: Tx) -> Sequence[Event]:
    """Settle a mail as one that will not be sent, and say so."""
    await mails.update_state(tx, delivery_id, "failed")
    return [DeliveryFailed(delivery_id=delivery_id, reason=reason)]


def _moot_at(intent: DeliveryIntended) -> datetime | None:
    return intent.invitation.starts_at if intent.invitation else intent.respond_by


class _Found:
    """What is known now of the two people, their centers, the programme and the link."""

    def __init__(
        self,
        *,
        contacts: dict[UUID, registry.SealedContact],
        people: dict[UUID, registry.Person],
        centers: dict[str, registry.Center],
        programme: registry.Programme | None,
        link: str | None,
    ) -> None:
        self._contacts = contacts
        self._people = people
        self._centers = centers
        self._programme = programme
        self._link = link

    @classmethod
    async def gather(cls, tx: Tx, intent: DeliveryIntended) -> "_Found":
        ids = {intent.person_id, *([intent.counterpart_id] if intent.counterpart_id else [])}
        centers = {intent.institution_id, intent.counterpart_institution_id}
        session_id = intent.invitation.session_id if intent.invitation else None
        return cls(
            contacts=await registry.list_sealed_contacts(tx, ids),
            people=await registry.list_people(tx, ids),
            centers=await registry.list_institutions(tx, centers),
            programme=await registry.get_programme(tx, intent.programme_id),
            link=await registry.get_link(tx, session_id) if session_id else None,
        )

    def needs(self, intent: DeliveryIntended) -> Needs:
        return Needs(
            contact=intent.person_id not in self._contacts,
            link=intent.invitation is not None and self._link is None,
            name=self._lacks_name(intent.counterpart_id),
        )

    def _lacks_name(self, counterpart_id: UUID | None) -> bool:
        if counterpart_id is None:
            return False
        counterpart = self._people.get(counterpart_id)
        if counterpart is None:
            return True
        return counterpart.may_be_named and counterpart_id not in self._contacts

    def order(self, intent: DeliveryIntended, intended_at: datetime) -> MailOrder:
        return MailOrder(
            intent=intent,
            intended_at=intended_at,
            recipient=SealedName.of(self._contacts[intent.person_id]),
            counterpart=self._counterpart(intent.counterpart_id),
            zone=self._zone(intent),
            center=self._center_name(intent.institution_id),
            counterpart_center=self._center_name(intent.counterpart_institution_id),
            programme=self._programme_name(),
            link=self._link,
        )

    def _counterpart(self, counterpart_id: UUID | None) -> SealedName | None:
        """Return the other half where they agreed that a match may know them (consent)."""
        if counterpart_id is None or counterpart_id not in self._contacts:
            return None
        person = self._people.get(counterpart_id)
        if person is None or not person.may_be_named:
            return None
        return SealedName.of(self._contacts[counterpart_id])

    def _zone(self, intent: DeliveryIntended) -> str:
        if person := self._people.get(intent.person_id):
            return person.time_zone
        center = self._centers.get(intent.institution_id)
        return center.time_zone if center else "UTC"

    def _center_name(self, institution_id: str) -> str:
        center = self._centers.get(institution_id)
        return center.name if center else institution_id

    def _programme_name(self) -> str | None:
        harmless = self._programme is not None and self._programme.kind in _HARMLESS
        return self._programme.name if self._programme and harmless else None
