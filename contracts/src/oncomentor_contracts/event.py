"""What every event of the network has in common, and the field types they share."""

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Self
from uuid import UUID

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
)
from pydantic_core import CoreSchema, PydanticCustomError

from oncomentor_contracts.envelope import Envelope
from oncomentor_contracts.topics import INSTITUTION_ID, RESERVED_WORDS, Topic


class Body(BaseModel):
    """A part of an event: frozen, open to fields that a newer writer adds."""

    model_config = ConfigDict(
        frozen=True, extra="ignore", allow_inf_nan=False, use_attribute_docstrings=True
    )


class Event(Body):
    """One fact, state or command; a subclass names its wire type, its topic and its subject.

    `TYPE` is `<aggregate>.<fact>.v<n>`; a breaking change is a new type said beside the old one.
    `REVISION` counts the compatible versions of one type. `SUBJECT` names the field whose value
    is the CloudEvents subject and the Kafka key. A `TOMBSTONE` is said as a null value: it
    deletes its key from a compacted topic, and its subject is all it carries.
    """

    TYPE: ClassVar[str]
    TOPIC: ClassVar[Topic]
    SUBJECT: ClassVar[str]
    REVISION: ClassVar[int] = 1
    TOMBSTONE: ClassVar[bool] = False

    # Plain slots and no private attributes: those cost a call for every event that is read.
    __slots__ = ("_envelope", "_raw")
    if TYPE_CHECKING:
        _envelope: Envelope
        _raw: bytes

    @property
    def subject(self) -> str:
        """The id of what this event is about."""
        return str(getattr(self, self.SUBJECT))

    @property
    def topic_name(self) -> str:
        """The topic on the broker; a template is filled with the event's `institution_id`."""
        institution_id = getattr(self, "institution_id") if self.TOPIC.is_template else None  # noqa: B009 - only templates have the field
        return self.TOPIC.named(institution_id)

    @property
    def envelope(self) -> Envelope:
        """The attributes it arrived with.

        Raises:
            ValueError: the event was made here and has not travelled yet.
        """
        try:
            return self._envelope
        except AttributeError:
            raise ValueError(f"{self.TYPE} was not received, so it has no envelope") from None

    @property
    def raw(self) -> bytes:
        """The JSON it arrived as; of a tombstone `null`.

        Raises:
            ValueError: the event was made here and has not travelled yet.
        """
        try:
            return self._raw
        except AttributeError:
            raise ValueError(f"{self.TYPE} was not received, so it has no bytes") from None

    def data(self) -> bytes | None:
        """Return the event's JSON, or None for a tombstone."""
        return None if self.TOMBSTONE else self.model_dump_json().encode()

    @classmethod
    def received(cls, envelope: Envelope, data: bytes | None) -> Self:
        """Return the event that this data spells.

        Raises:
            pydantic.ValidationError: the data breaks the contract.
            ValueError: a tombstone carries data, or data is missing, or the subject differs
                from the field it names.
        """
        if cls.TOMBSTONE is not (data is None):
            raise ValueError("a null value is a deletion, and only a deletion has one")
        if data is None:
            event = cls.model_validate_strings({cls.SUBJECT: envelope.subject})
        else:
            event = cls.__pydantic_validator__.validate_json(data)
        if event.subject != envelope.subject:
            raise ValueError(f"subject must equal {cls.SUBJECT}")

        _set_envelope(event, envelope)
        _set_raw(event, data or b"null")
        return event

    @classmethod
    def dataschema(cls) -> str:
        """The URN of the schema that this code writes."""
        return f"urn:oncomentor:schema:{cls.TYPE}:{cls.REVISION}"


# Frozen for everybody else, whose way the slots' own setters do not go.
_set_envelope = Event.__dict__["_envelope"].__set__
_set_raw = Event.__dict__["_raw"].__set__


class OpenEnum(StrEnum):
    """Words of which a newer writer may know more: what we do not know reads as `unknown`.

    Every subclass has an UNKNOWN member. A reader's schema allows any text and lists the known
    words as `x-known-values`; a writer's schema is closed.
    """

    @classmethod
    def _missing_(cls, value: object) -> "OpenEnum | None":
        return cls("unknown") if isinstance(value, str) and value != "unknown" else None

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        words = [member.value for member in cls]
        if handler.mode == "serialization":
            return {"type": "string", "enum": words}
        return {"type": "string", "x-known-values": words}

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return handler(source)


def _not_reserved(value: str) -> str:
    if value in RESERVED_WORDS:
        raise PydanticCustomError("reserved_word", "is a word of the network itself")
    return value


def _in_utc(value: datetime) -> datetime:
    try:
        return value.astimezone(UTC)
    except OverflowError as error:
        raise PydanticCustomError(
            "instant_out_of_range", "lies before year 1 or after year 9999 in UTC"
        ) from error


def _no_nul(value: str) -> str:
    if "\x00" in value:
        raise PydanticCustomError(
            "nul_character", "holds a NUL character, which PostgreSQL text cannot keep"
        )
    return value


@dataclass(frozen=True, slots=True)
class In:
    """Marks text that must be a term of a vocabulary (`oncomentor_contracts.vocabulary`).

    The schema holds the form alone and names the vocabulary as `x-vocabulary`: a term that is
    added later must not make older readers refuse the event. `validation` holds the terms.
    """

    vocabulary: str

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return {**handler(schema), "x-vocabulary": self.vocabulary}


InstitutionId = Annotated[
    str,
    Field(pattern=f"^{INSTITUTION_ID}$", examples=["north-cancer-center"]),
    AfterValidator(_not_reserved),
]
OwnerId = Annotated[
    str, Field(pattern=f"^{INSTITUTION_ID}$", examples=["consortium", "north-cancer-center"])
]
"""An institution's id, or `consortium`."""
Slug = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{1,59}$", examples=["early-career"])]
Code = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_./+-]{0,59}$")]
"""A term of a vocabulary, which `In` names."""
Country = Annotated[str, Field(pattern=r"^[A-Z]{2}$", examples=["PT"]), In("country")]
"""ISO 3166-1 alpha-2."""
Language = Annotated[
    str,
    Field(pattern=r"^[a-z]{2,3}(-[A-Za-z0-9]{2,8})*$", max_length=35, examples=["pt", "pt-BR"]),
    In("language"),
]
"""BCP 47, such as `pt` or `pt-BR`; 35 characters are what RFC 5646, section 4.4.1 allows for."""
Text = Annotated[str, Field(max_length=2000), AfterValidator(_no_nul)]
Line = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(_no_nul)]
Zone = Annotated[
    str,
    Field(pattern=r"^[A-Za-z][A-Za-z0-9_+/-]{1,59}$", examples=["Europe/Lisbon"]),
    In("zone"),
]
"""An IANA time zone name, such as `Europe/Lisbon`."""
Token = Annotated[
    str, Field(pattern=r"^[A-Za-z0-9_-]{16,128}$", examples=["b3BhcXVlLWhhc2gtb2YtYS1sYWI"])
]
"""An opaque hash (base64url); the hub compares it and cannot invert it."""
Sealed = Annotated[
    str,
    Field(
        pattern=r"^[A-Za-z0-9_-]*(\.[A-Za-z0-9_-]*){4}$",
        max_length=65536,
        examples=["eyJhbGciOiJFQ0RILUVTIn0..aXYtMTI.c2VhbGVk.dGFn"],
    ),
]
"""A JWE in compact form (RFC 7516, section 7.1)."""
Base64Url = Annotated[
    str, Field(pattern=r"^[A-Za-z0-9_-]+$", max_length=65536, examples=["c2VhbGVk"])
]
Instant = Annotated[AwareDatetime, AfterValidator(_in_utc)]
"""A moment, in UTC whatever offset it was written with."""
Minutes = Annotated[int, Field(ge=0, le=100_000)]
Share = Annotated[float, Field(ge=0, le=1)]
PersonId = UUID
MatchId = UUID
SessionId = UUID
DeliveryId = UUID
