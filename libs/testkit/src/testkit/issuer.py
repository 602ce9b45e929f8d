"""An identity provider whose keys are at hand: tokens are real, only the way to it is not."""

from datetime import UTC, datetime

from joserfc import jwt
from joserfc.jwk import ECKey, KeySet

from servicekit.edge.auth import Authenticator

_ISSUER = "https://idp.example.invalid"


class Issuer(Authenticator):
    """Issues tokens and checks them, as an HTTP edge under test needs it."""

    def __init__(self) -> None:
        """Begin with a fresh key."""
        super().__init__(_ISSUER, "oncomentor")
        self.key = ECKey.generate_key("P-256", auto_kid=True)

    async def _fetch(self) -> KeySet:
        return KeySet([self.key])

    def token(self, roles: list[str], institution_id: str | None = None) -> str:
        """Return a token of these roles, bound to a center where one is given."""
        claims = {
            "iss": _ISSUER,
            "aud": "oncomentor",
            "sub": institution_id or "somebody",
            "exp": int(datetime.now(UTC).timestamp()) + 60,
            "roles": roles,
        } | ({"institution": institution_id} if institution_id else {})
        return jwt.encode({"alg": "ES256", "kid": self.key.kid}, claims, self.key)

    def headers(self, who: str) -> dict[str, str]:
        """Return the header of a caller: `operator`, or the id of a center."""
        operator = who == "operator"
        roles = ["operator" if operator else "institution"]
        return {"Authorization": f"Bearer {self.token(roles, None if operator else who)}"}
