import json
from pathlib import Path

import pytest

from matching_service import app
from matching_service.settings import Settings
from servicekit import security
from servicekit.errors import StartupError


def settings(folder: Path, key: str) -> Settings:
    secret = folder / "secret"
    secret.write_text("made-up")
    reader_key = folder / "reader.jwk"
    reader_key.write_text(key)
    return Settings(
        kafka_bootstrap="127.0.0.1:9092",
        kafka_username="matching",
        kafka_password_file=secret,
        database_host="127.0.0.1",
        database_name="matching",
        database_worker_user="matching_worker",
        database_worker_password_file=secret,
        database_api_user="matching_api",
        database_api_password_file=secret,
        http_host="127.0.0.1",
        http_port=0,
        oidc_issuer="https://idp.example.invalid",
        reader_key_file=reader_key,
    )


def test_the_service_is_built_from_its_settings(tmp_path: Path) -> None:
    key = json.dumps(security.private_jwk(security.generate_key()))

    service = app.build(settings(tmp_path, key))

    assert service.name == "matching"
    assert set(service.jobs) == {"propose", "propose_waiting", "recheck", "advance"}
    assert list(service.migrations.glob("*.sql"))


PUBLIC_HALF = json.dumps(security.public_jwk(security.generate_key()))


@pytest.mark.parametrize("key", ["no key", PUBLIC_HALF])
def test_a_key_file_that_opens_nothing_is_refused_at_the_start(tmp_path: Path, key: str) -> None:
    with pytest.raises(StartupError, match=r"reader\.jwk"):
        app.build(settings(tmp_path, key))


def test_the_taxonomy_is_the_vocabularies() -> None:
    taxonomy = app.taxonomy()

    assert taxonomy.topics["lung"] == ("thoracic", "solid_tumors")
    assert taxonomy.goals["grant_writing"] == ("research",)
    assert taxonomy.cancer_types["LUAD"][-1] == "LUNG"
    assert taxonomy.career_stages["fellow"] < taxonomy.career_stages["senior"]
    assert taxonomy.age_bands["20-29"] < taxonomy.age_bands["50-59"]
