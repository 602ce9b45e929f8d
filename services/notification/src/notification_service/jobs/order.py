"""A mail to be sent, with everything it takes; names and addresses in it are still sealed."""

from datetime import datetime
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from notification_service.store.registry import SealedContact
from oncomentor_contracts.block import EncryptedBlock
from oncomentor_contracts.notification import DeliveryIntended


class SealedName(BaseModel):
    """A person's encrypted contact and the key to it, sealed to this service."""

    model_config = ConfigDict(frozen=True)

    person_id: UUID
    block: EncryptedBlock
    jwe: str

    @classmethod
    def of(cls, contact: SealedContact) -> "SealedName":
        """Return what travels of a stored contact."""
        block = EncryptedBlock(
            key_id=contact.key_id, nonce=contact.nonce, ciphertext=contact.ciphertext
        )
        return cls(person_id=contact.person_id, block=block, jwe=contact.jwe)


class MailOrder(BaseModel):
    """What the sending effect gets: it needs no database, so it can run where the key is."""

    model_config = ConfigDict(frozen=True)

    intent: DeliveryIntended
    intended_at: datetime
    recipient: SealedName
    counterpart: SealedName | None
    """None where the message does not name them."""
    zone: str
    center: str
    counterpart_center: str
    programme: str | None
    """None where naming it could say something about a person's health."""
    link: str | None
