import base64
import json
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jwe
from joserfc.jwk import ECKey, OctKey

from servicekit import security
from servicekit.errors import StartupError
from servicekit.security import UnsealableError

ADA = UUID("5a0c1b1e-0000-8000-8000-00000000000a")
BEN = UUID("5a0c1b1e-0000-8000-8000-00000000000b")
KEY = security.generate_key()
SEALED = security.seal(KEY, b"rosalind@example.org")


@given(plaintext=st.binary(max_size=300))
def test_what_is_sealed_to_a_key_opens_with_it(plaintext: bytes) -> None:
    sealed = security.seal(KEY, plaintext)

    opened = security.unseal(KEY, sealed)

    assert opened == plaintext


def test_a_public_jwk_is_enough_to_seal() -> None:
    published = security.key_of(security.public_jwk(KEY))

    sealed = security.seal(published, b"hello")

    assert security.unseal(KEY, sealed) == b"hello"


def test_a_published_key_says_its_id_and_use_and_keeps_its_secret() -> None:
    jwk = security.public_jwk(KEY)

    assert set(jwk) == {"kty", "crv", "x", "y", "kid", "use", "alg"}
    assert (jwk["kid"], jwk["alg"]) == (KEY.kid, "ECDH-ES")


def test_another_key_opens_nothing() -> None:
    with pytest.raises(UnsealableError, match="another key"):
        security.unseal(security.generate_key(), SEALED)


def test_a_seal_without_key_id_opens_with_the_right_key_alone() -> None:
    header = {"alg": "ECDH-ES", "enc": "A256GCM"}
    anonymous = jwe.encrypt_compact(header, b"hello", KEY, algorithms=["ECDH-ES", "A256GCM"])

    assert security.unseal(KEY, anonymous) == b"hello"
    with pytest.raises(UnsealableError, match="altered"):
        security.unseal(security.generate_key(), anonymous)


@pytest.mark.parametrize(
    "header",
    [
        {"alg": "ECDH-ES", "enc": "A128GCM"},
        {"alg": "ECDH-ES", "enc": "A256CBC-HS512"},
        {"alg": "ECDH-ES", "enc": "A256GCM", "zip": "DEF"},
        {"alg": "ECDH-ES+A256KW", "enc": "A256GCM"},
    ],
    ids=str,
)
def test_no_other_algorithm_is_opened(header: dict[str, str]) -> None:
    sealed = jwe.encrypt_compact(header, b"hello", KEY, algorithms=list(header.values()))

    with pytest.raises(UnsealableError, match="ECDH-ES"):
        security.unseal(KEY, sealed)


def test_a_shared_secret_is_no_seal() -> None:
    header = {"alg": "dir", "enc": "A256GCM"}
    sealed = jwe.encrypt_compact(
        header, b"hello", OctKey.generate_key(256), algorithms=list(header.values())
    )

    with pytest.raises(UnsealableError, match="ECDH-ES"):
        security.unseal(KEY, sealed)


@pytest.mark.parametrize("sealed", ["", "....", "a.b.c.d.e", "é....", "W10....", "bnVsbA...."])
def test_noise_is_refused(sealed: str) -> None:
    with pytest.raises(UnsealableError):
        security.unseal(KEY, sealed)


@given(position=st.integers(0, len(SEALED) - 1), letter=st.sampled_from("AZaz09-_."))
def test_an_altered_seal_never_opens_as_something_else(position: int, letter: str) -> None:
    altered = SEALED[:position] + letter + SEALED[position + 1 :]

    try:
        opened = security.unseal(KEY, altered)
    except UnsealableError:
        return

    assert opened == b"rosalind@example.org"


@pytest.mark.parametrize("x", ["", "AAAA", "A" * 43, "A" * 5000, "@", "é"], ids=len)
def test_a_point_off_the_curve_is_refused(x: str) -> None:
    first, *rest = SEALED.split(".")
    header = json.loads(base64.urlsafe_b64decode(first + "=="))
    header["epk"]["x"] = x
    forged = base64.urlsafe_b64encode(json.dumps(header).encode()).rstrip(b"=").decode()

    with pytest.raises(UnsealableError):
        security.unseal(KEY, ".".join([forged, *rest]))


@pytest.mark.parametrize("sealed", [SEALED[:-8], SEALED.replace(SEALED[:20], "")], ids=len)
def test_the_reason_repeats_nothing_of_what_was_sealed(sealed: str) -> None:
    with pytest.raises(UnsealableError) as refused:
        security.unseal(KEY, sealed)

    assert sealed[20:40] not in str(refused.value)


@given(plaintext=st.binary(max_size=300))
def test_a_block_opens_with_its_purposes_key(plaintext: bytes) -> None:
    key = security.purpose_key(security.new_dek(), "contact")

    block = security.encrypt_block(key, security.new_key_id(), "contact", ADA, plaintext)

    assert security.decrypt_block(key, "contact", ADA, block) == plaintext


def test_a_block_cannot_be_put_in_anothers_place() -> None:
    key, key_id = security.new_dek(), security.new_key_id()
    block = security.encrypt_block(key, key_id, "contact", ADA, b"ada@example.org")
    renamed = block.model_copy(update={"key_id": security.new_key_id()})

    with pytest.raises(UnsealableError):
        security.decrypt_block(key, "contact", BEN, block)
    with pytest.raises(UnsealableError):
        security.decrypt_block(key, "survivor", ADA, block)
    with pytest.raises(UnsealableError):
        security.decrypt_block(key, "contact", ADA, renamed)


def test_one_purposes_key_does_not_open_anothers_block() -> None:
    dek, key_id = security.new_dek(), security.new_key_id()
    contact = security.purpose_key(dek, "contact")
    block = security.encrypt_block(contact, key_id, "contact", ADA, b"ada@example.org")

    with pytest.raises(UnsealableError):
        security.decrypt_block(security.purpose_key(dek, "survivor"), "contact", ADA, block)


def test_equal_texts_give_different_blocks() -> None:
    key, key_id = security.new_dek(), security.new_key_id()

    first = security.encrypt_block(key, key_id, "contact", ADA, b"ada@example.org")
    second = security.encrypt_block(key, key_id, "contact", ADA, b"ada@example.org")

    assert first.ciphertext != second.ciphertext


@pytest.mark.parametrize("nonce", ["AAAA", "A" * 16, "A"])
def test_a_block_with_a_wrong_nonce_is_refused(nonce: str) -> None:
    key = security.new_dek()
    block = security.encrypt_block(key, security.new_key_id(), "contact", ADA, b"hello")

    with pytest.raises(UnsealableError):
        security.decrypt_block(key, "contact", ADA, block.model_copy(update={"nonce": nonce}))


def test_a_wrapped_key_belongs_to_one_person_and_one_kek() -> None:
    kek, dek = security.new_dek(), security.new_dek()

    wrapped = security.wrap_dek(kek, dek, ADA)

    assert security.unwrap_dek(kek, wrapped, ADA) == dek
    assert dek not in wrapped
    with pytest.raises(UnsealableError):
        security.unwrap_dek(kek, wrapped, BEN)
    with pytest.raises(UnsealableError):
        security.unwrap_dek(security.new_dek(), wrapped, ADA)


def test_a_purposes_key_is_what_the_contract_says() -> None:
    """Pinned, since readers in other languages derive the same (RFC 5869)."""
    key = security.purpose_key(bytes(32), "contact")

    assert key.hex() == "44cf7f90017c8ef7d34bad02cd45a3fbb6fa3fb72b2411770f0312b55ffba299"


def test_keys_come_back_from_their_files(tmp_path: Path) -> None:
    path = tmp_path / "intake.jwk"
    path.write_text(json.dumps(security.private_jwk(KEY)))

    loaded = security.load_key(path)

    assert loaded.kid == KEY.kid
    assert security.unseal(loaded, SEALED) == b"rosalind@example.org"


def test_a_key_file_without_kid_is_named_by_its_thumbprint(tmp_path: Path) -> None:
    path = tmp_path / "intake.jwk"
    jwk = security.public_jwk(KEY)
    path.write_text(json.dumps({name: jwk[name] for name in ("kty", "crv", "x", "y")}))

    loaded = security.load_key(path)

    assert loaded.kid == KEY.thumbprint()


@pytest.mark.parametrize(
    "text", ["", "hello", "[]", '{"kty": "oct", "k": "AAAA"}', '{"kty": "EC"}']
)
def test_a_file_without_a_key_stops_the_start_and_names_the_file(tmp_path: Path, text: str) -> None:
    path = tmp_path / "intake.jwk"
    path.write_text(text)

    with pytest.raises(StartupError, match=r"intake\.jwk"):
        security.load_key(path)


def test_a_key_on_another_curve_stops_the_start(tmp_path: Path) -> None:
    path = tmp_path / "intake.jwk"
    path.write_text(json.dumps(ECKey.generate_key("P-384").as_dict(private=True)))

    with pytest.raises(StartupError, match=r"intake\.jwk"):
        security.load_key(path)


def test_a_kek_comes_back_from_its_file(tmp_path: Path) -> None:
    path = tmp_path / "kek"
    kek = security.new_dek()
    path.write_text(base64.b64encode(kek).decode() + "\n")

    assert security.load_kek(path) == kek


@pytest.mark.parametrize("text", ["", "%%%", base64.b64encode(bytes(16)).decode()])
def test_a_short_or_garbled_kek_stops_the_start(tmp_path: Path, text: str) -> None:
    path = tmp_path / "kek"
    path.write_text(text)

    with pytest.raises(StartupError, match="kek"):
        security.load_kek(path)
