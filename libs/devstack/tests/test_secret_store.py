import json
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from joserfc import jwe
from joserfc.jwk import ECKey

from devstack.secret_store import SecretStore


def test_secrets_are_made_once_for_the_owner_alone(tmp_path: Path) -> None:
    store = SecretStore(tmp_path / "secrets")

    password = store.password("kafka", "profile")

    assert len(password.read_text()) == 43
    assert store.password("kafka", "profile").read_text() == password.read_text()
    assert stat.S_IMODE(password.stat().st_mode) == 0o600
    assert stat.S_IMODE(store.folder.stat().st_mode) == 0o700


def test_of_many_who_make_a_secret_at_once_all_get_the_same(tmp_path: Path) -> None:
    store = SecretStore(tmp_path / "secrets")

    with ThreadPoolExecutor(16) as pool:
        seen = set(pool.map(lambda _: store.password("kafka", "one").read_text(), range(64)))

    assert len(seen) == 1


def test_what_is_sealed_to_the_public_half_opens_with_the_private_one(tmp_path: Path) -> None:
    pair = SecretStore(tmp_path).exchange_keys("reader-matching")
    public = ECKey.import_key(json.loads(pair.public.read_text()))
    private = ECKey.import_key(json.loads(pair.private.read_text()))

    sealed = jwe.encrypt_compact({"alg": "ECDH-ES", "enc": "A256GCM"}, b"key", public)

    assert jwe.decrypt_compact(sealed, private).plaintext == b"key"
    assert not public.is_private


def test_a_lost_public_half_comes_back_the_same(tmp_path: Path) -> None:
    pair = SecretStore(tmp_path).exchange_keys("intake")
    published = pair.public.read_text()
    pair.public.unlink()

    assert SecretStore(tmp_path).exchange_keys("intake").public.read_text() == published
