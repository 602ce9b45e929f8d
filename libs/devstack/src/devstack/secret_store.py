"""Every secret of the stack: made once, one file each, readable by its owner alone."""

import base64
import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from joserfc.jwk import ECKey

from devstack.files import PRIVATE_FILE, make_folder, write_once, write_whole

KEY_BYTES = 32


@dataclass(frozen=True, slots=True)
class KeyPair:
    """The files of a P-256 key pair, as JWKs."""

    private: Path
    public: Path


@dataclass(frozen=True, slots=True)
class SecretStore:
    """Secrets by name. Asking for one makes it the first time, whole, and only then.

    Files hold no line end. Nothing here is ever on a command line or in a log: parts get paths.
    """

    folder: Path
    mode: int = PRIVATE_FILE

    def password(self, group: str, name: str) -> Path:
        """Return the file of a password: 32 random bytes, in letters that need no quoting."""
        return self._made(self.folder / group / name, lambda: secrets.token_urlsafe(KEY_BYTES))

    def encryption_key(self, name: str) -> Path:
        """Return the file of a 256-bit key in base64."""
        path = self.folder / f"{name}.key"
        return self._made(path, lambda: base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode())

    def exchange_keys(self, name: str) -> KeyPair:
        """Return a key pair to which others seal what only its owner may read (ECDH-ES)."""
        return self._key_pair(name, "enc", "ECDH-ES")

    def signing_keys(self, name: str) -> KeyPair:
        """Return a key pair whose owner signs (ES256)."""
        return self._key_pair(name, "sig", "ES256")

    def _key_pair(self, name: str, use: str, algorithm: str) -> KeyPair:
        def make() -> str:
            key = ECKey.generate_key(
                "P-256", {"use": use, "alg": algorithm, "kid": secrets.token_hex(8)}
            )
            return json.dumps(key.as_dict(private=True))

        private = self._made(self.folder / f"{name}.jwk", make)
        public = self.folder / f"{name}.public.jwk"
        # The public half follows from the private one, so a lost or half-made pair mends itself.
        half = json.dumps(ECKey.import_key(json.loads(private.read_text())).as_dict(private=False))
        if not public.exists() or public.read_text() != half:
            write_whole(public, half, self.mode)
        return KeyPair(private, public)

    def _made(self, path: Path, make: Callable[[], str]) -> Path:
        if not path.exists():
            make_folder(self.folder)
            make_folder(path.parent)
            write_once(path, make(), self.mode)
        return path
