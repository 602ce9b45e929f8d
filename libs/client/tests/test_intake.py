from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from joserfc import jwe
from joserfc.jwk import ECKey

from oncomentor_client.credentials import Credentials
from oncomentor_client.errors import RefusedError, UnreachableError, UnusableFileError
from oncomentor_client.intake import IntakeKey, pinned_intake_key
from oncomentor_contracts.profile import SurvivorBlock

if TYPE_CHECKING:
    from libs.client.tests.conftest import Hub


def test_what_is_sealed_only_the_hub_can_open(hub_key: ECKey, intake_key: IntakeKey) -> None:
    block = SurvivorBlock(cancer_type="BRCA", years_since_treatment=2.5)

    sealed = intake_key.seal(block)

    opened = jwe.decrypt_compact(sealed, hub_key).plaintext or b""
    assert SurvivorBlock.model_validate_json(opened) == block
    assert sealed.count(".") == 4
    assert sealed != intake_key.seal(block)


def test_a_private_half_is_never_kept(hub_key: ECKey) -> None:
    assert "d" not in IntakeKey(hub_key.as_dict(private=True)).public


async def test_the_first_key_is_pinned_and_used_when_the_hub_is_away(
    hub: "Hub", credentials: Credentials, tmp_path: Path
) -> None:
    pin = tmp_path / "pin.json"

    first = await pinned_intake_key(hub.credentials, pin)
    offline = await pinned_intake_key(credentials, pin)

    assert first.thumbprint == offline.thumbprint == hub.key.thumbprint()


async def test_another_key_is_refused_until_its_thumbprint_is_accepted(
    hub: "Hub", tmp_path: Path
) -> None:
    pin = tmp_path / "pin.json"
    await pinned_intake_key(hub.credentials, pin)
    hub.key = ECKey.generate_key("P-256")

    with pytest.raises(RefusedError, match="--accept-key"):
        await pinned_intake_key(hub.credentials, pin)
    with pytest.raises(RefusedError):
        await pinned_intake_key(hub.credentials, pin, accept="something else")
    new = await pinned_intake_key(hub.credentials, pin, accept=hub.key.thumbprint())
    again = await pinned_intake_key(hub.credentials, pin)

    assert new.thumbprint == again.thumbprint == hub.key.thumbprint()


async def test_without_a_pin_the_hub_is_needed(credentials: Credentials, tmp_path: Path) -> None:
    with pytest.raises(UnreachableError, match="can't be fetched"):
        await pinned_intake_key(credentials, tmp_path / "pin.json")


async def test_a_damaged_pin_is_never_replaced_in_silence(hub: "Hub", tmp_path: Path) -> None:
    pin = tmp_path / "pin.json"
    pin.write_text("{")

    with pytest.raises(UnusableFileError, match="remove it to pin"):
        await pinned_intake_key(hub.credentials, pin)
