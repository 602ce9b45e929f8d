"""What notification needs beyond the kernel's settings."""

from typing import Annotated, Literal

from pydantic import Field

from servicekit.settings import SecretFile
from servicekit.settings import Settings as KernelSettings


class Settings(KernelSettings):
    """From the environment, names with ONCOMENTOR_ in front."""

    reader_key_file: SecretFile
    """The private JWK that keys to contacts are sealed to."""
    smtp_host: str
    smtp_port: Annotated[int, Field(ge=1, le=65535)]
    smtp_security: Literal["opportunistic", "starttls", "tls"] = "opportunistic"
    """STARTTLS where the server offers it, STARTTLS or nothing, or TLS from the first byte."""
    smtp_username: str | None = None
    smtp_password_file: SecretFile | None = None
    mail_from: Annotated[str, Field(pattern=r"^[^@\s]+@[^@\s]+$")]
    """The network's address: sender of every mail and organizer of every invitation."""
    mail_from_name: Annotated[str, Field(pattern=r'^[^"\r\n]+$')] = "OncoMentor"
