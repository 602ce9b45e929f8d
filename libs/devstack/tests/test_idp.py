import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import KeySet

from devstack.stack import Stack


def discovered(network: Stack) -> dict[str, str]:
    issuer = network.credentials("operator").oidc["issuer"]
    answer = httpx.get(f"{issuer}/.well-known/openid-configuration")
    found: dict[str, str] = answer.json()
    assert found["issuer"] == issuer
    return found


def claims_of(network: Stack, token: str) -> dict[str, object]:
    keys = KeySet.import_key_set(httpx.get(discovered(network)["jwks_uri"]).json())
    decoded = jwt.decode(token, keys, algorithms=["ES256"])
    registry = jwt.JWTClaimsRegistry(
        iss={"essential": True, "value": discovered(network)["issuer"]},
        aud={"essential": True, "value": "oncomentor"},
        exp={"essential": True},
    )
    registry.validate(decoded.claims)
    return decoded.claims


def test_a_center_gets_a_token_that_names_it(network: Stack) -> None:
    oidc = network.credentials("north-hospital").oidc

    answer = httpx.post(
        discovered(network)["token_endpoint"],
        data={"grant_type": "client_credentials"},
        auth=(oidc["client_id"], oidc["client_secret"]),
    )

    claims = claims_of(network, answer.json()["access_token"])
    assert answer.json()["expires_in"] == 3600
    assert claims["institution"] == "north-hospital"
    assert claims["roles"] == ["institution"]
    assert claims["sub"] == "inst-north-hospital"


def test_the_operator_may_send_its_secret_in_the_form(network: Stack) -> None:
    oidc = network.credentials("operator").oidc

    answer = httpx.post(
        oidc["token_endpoint"],
        data={
            "grant_type": "client_credentials",
            "client_id": oidc["client_id"],
            "client_secret": oidc["client_secret"],
        },
    )

    assert claims_of(network, answer.json()["access_token"])["roles"] == ["operator"]


@pytest.mark.parametrize("client", ["operator", "inst-north-hospital", "nobody", ""])
def test_a_wrong_secret_gets_no_token(network: Stack, client: str) -> None:
    answer = httpx.post(
        discovered(network)["token_endpoint"],
        data={"grant_type": "client_credentials"},
        auth=(client, "guessed"),
    )

    assert answer.status_code == 401
    assert answer.json() == {"error": "invalid_client"}


def test_another_grant_is_refused(network: Stack) -> None:
    answer = httpx.post(discovered(network)["token_endpoint"], data={"grant_type": "password"})

    assert answer.status_code == 400
    assert answer.json() == {"error": "unsupported_grant_type"}


def test_a_client_added_later_needs_no_restart(network: Stack) -> None:
    before = {part.name: part.pid for part in network.status()}
    (center,) = network.provision(["late-hospital"])

    answer = httpx.post(
        center.oidc["token_endpoint"],
        data={"grant_type": "client_credentials"},
        auth=(center.oidc["client_id"], center.oidc["client_secret"]),
    )

    assert answer.status_code == 200
    assert {part.name: part.pid for part in network.status()} == before
