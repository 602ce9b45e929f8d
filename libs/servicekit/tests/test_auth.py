from pathlib import Path

import httpx
import pytest
from joserfc.jwk import ECKey, KeySet

from devstack.idp import Clients, Provider
from servicekit.edge.auth import Authenticator, InvalidTokenError
from testkit.issuer import Issuer


async def test_a_token_says_who_calls() -> None:
    issuer = Issuer()

    member = await issuer.principal(issuer.token(["institution"], "harbor-test"))
    operator = await issuer.principal(issuer.token(["operator"]))

    assert (member.institution_id, member.scope) == ("harbor-test", "harbor-test")
    assert (operator.institution_id, operator.scope) == (None, "consortium")


@pytest.mark.parametrize("token", ["", "a.b.c", "no token", "eyJhbGciOiJub25lIn0.e30."])
async def test_what_is_no_token_of_ours_is_refused(token: str) -> None:
    with pytest.raises(InvalidTokenError):
        await Issuer().principal(token)


async def test_another_issuers_key_or_audience_is_refused() -> None:
    ours, theirs = Issuer(), Issuer()

    with pytest.raises(InvalidTokenError):
        await ours.principal(theirs.token(["operator"]))


class Counting(Issuer):
    def __init__(self) -> None:
        super().__init__()
        self.fetched = 0
        self.away = False

    async def _fetch(self) -> KeySet:
        self.fetched += 1
        if self.away:
            raise httpx.ConnectError("away")
        return await super()._fetch()


async def test_garbage_does_not_make_us_ask_the_provider_in_a_loop() -> None:
    provider = Counting()

    for _ in range(20):
        with pytest.raises(InvalidTokenError):
            await provider.principal("a.b.c")

    assert provider.fetched == 1


async def test_a_new_key_of_the_provider_is_learnt_and_known_ones_survive_its_absence() -> None:
    provider = Counting()
    await provider.principal(provider.token(["operator"]))
    provider.key = ECKey.generate_key("P-256", auto_kid=True)
    provider._asked_at = float("-inf")  # long ago

    await provider.principal(provider.token(["operator"]))
    provider.away = True
    provider._asked_at = float("-inf")

    assert (await provider.principal(provider.token(["operator"]))).subject == "somebody"


async def test_without_any_keys_an_absent_provider_is_said_to_be_absent() -> None:
    provider = Counting()
    provider.away = True

    with pytest.raises(httpx.HTTPError):
        await provider.principal("a.b.c")


async def test_an_issuer_that_clients_know_by_another_address_has_its_keys_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clients = Clients(tmp_path / "clients.json")
    clients.put("operator", "secret", {"roles": ["operator"]})
    key = ECKey.generate_key("P-256", auto_kid=True)
    provider = Provider("http://outside.invalid", key, clients)
    inside = httpx.ASGITransport(provider.application())
    client = httpx.AsyncClient
    monkeypatch.setattr(httpx, "AsyncClient", lambda **_: client(transport=inside))
    async with httpx.AsyncClient() as asking:
        answer = await asking.post(
            "http://idp:8080/token",
            data={"grant_type": "client_credentials"},
            auth=("operator", "secret"),
        )
    token = answer.json()["access_token"]

    known = Authenticator("http://outside.invalid", "oncomentor", "http://idp:8080/jwks")
    stranger = Authenticator("http://idp:8080", "oncomentor", "http://idp:8080/jwks")

    assert (await known.principal(token)).roles == {"operator"}
    with pytest.raises(InvalidTokenError):
        await stranger.principal(token)
