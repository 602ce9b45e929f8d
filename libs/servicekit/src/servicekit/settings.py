"""Settings of every service: from the environment, secrets from files, read once."""

from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import quote

from pydantic import AfterValidator, Field
from pydantic_settings import BaseSettings, SettingsConfigDict


def _readable(path: Path) -> Path:
    if not path.is_file():
        raise ValueError(f"{path} is no readable file; give the path of the file with the secret")
    return path


SecretFile = Annotated[Path, AfterValidator(_readable)]
"""A file that holds a secret; its path may be logged, its content never."""


def secret(path: Path) -> str:
    """Return the text of a secret file without the line end."""
    return path.read_text().rstrip("\n")


class Settings(BaseSettings):
    """What the kernel needs; a service's own settings extend it.

    Environment names are the fields' names with ONCOMENTOR_ in front.
    """

    model_config = SettingsConfigDict(env_prefix="ONCOMENTOR_", frozen=True, extra="ignore")

    kafka_bootstrap: str
    kafka_security: Literal["SASL_PLAINTEXT", "SASL_SSL"] = "SASL_SSL"
    kafka_username: str
    kafka_password_file: SecretFile
    database_host: str
    database_port: Annotated[int, Field(ge=1, le=65535)] = 5432
    database_name: str
    database_worker_user: str
    database_worker_password_file: SecretFile
    database_api_user: str
    database_api_password_file: SecretFile
    database_owner_user: str | None = None
    database_owner_password_file: SecretFile | None = None
    http_host: str
    http_port: Annotated[int, Field(ge=0, le=65535)]
    oidc_issuer: str
    oidc_audience: str = "oncomentor"
    oidc_jwks_url: str | None = None
    """Where the issuer's keys are, when this service can't reach the issuer by its own name."""
    outbox_days: Annotated[int, Field(ge=1, le=365)] = 7
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    otlp_endpoint: str | None = None
    """Base address of an OpenTelemetry collector (OTLP over HTTP); no spans without."""
    trace_share: Annotated[float, Field(ge=0, le=1)] = 1.0
    """Share of traces that are kept, the same ones in every service."""

    def dsn(self, user: str, password_file: Path) -> str:
        """Return a PostgreSQL address for one role; it holds the password, so never log it."""
        who = f"{quote(user)}:{quote(secret(password_file), safe='')}"
        return f"postgresql://{who}@{self.database_host}:{self.database_port}/{self.database_name}"
