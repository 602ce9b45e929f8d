import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from notification_service import app
from notification_service.domain import work
from notification_service.settings import Settings
from servicekit import security
from servicekit.errors import StartupError


def settings(folder: Path, **changed: Any) -> Settings:
    key, password = folder / "reader.jwk", folder / "password"
    key.write_text(json.dumps(security.private_jwk(security.generate_key())))
    password.write_text("s3cret\n")
    fields = {
        "kafka_bootstrap": "127.0.0.1:9092",
        "kafka_username": "notification",
        "kafka_password_file": password,
        "database_host": "127.0.0.1",
        "database_name": "notification",
        "database_worker_user": "notification_worker",
        "database_worker_password_file": password,
        "database_api_user": "notification_api",
        "database_api_password_file": password,
        "http_host": "127.0.0.1",
        "http_port": 0,
        "oidc_issuer": "http://127.0.0.1:1",
        "reader_key_file": key,
        "smtp_host": "127.0.0.1",
        "smtp_port": 25,
        "smtp_username": "oncomentor",
        "smtp_password_file": password,
        "mail_from": "network@oncomentor.example",
    }
    return Settings.model_validate(fields | changed)


def test_the_service_brings_a_worker_for_every_kind_of_timer_that_it_sets(tmp_path: Path) -> None:
    service = app.build(settings(tmp_path))

    kinds = {value for name, value in vars(work).items() if name.isupper()}
    assert {*service.jobs, *service.effects} == kinds
    assert list(service.migrations.glob("*.sql"))


def test_the_mail_password_is_not_shown(tmp_path: Path) -> None:
    effect = app.build(settings(tmp_path)).effects[work.SEND_MAIL]

    assert "s3cret" not in repr(vars(effect.perform.__self__))  # type: ignore[attr-defined]  # a bound method


def test_a_reader_s_key_that_is_none_stops_the_start_with_one_sentence(tmp_path: Path) -> None:
    broken = settings(tmp_path)
    broken.reader_key_file.write_text("{}")

    with pytest.raises(StartupError, match=r"reader\.jwk"):
        app.build(broken)


@pytest.mark.parametrize("wrong", [{"mail_from": "nobody"}, {"mail_from_name": 'A "b"\r\nBcc: c'}])
def test_a_sender_that_could_break_a_header_is_refused(
    tmp_path: Path, wrong: dict[str, str]
) -> None:
    with pytest.raises(ValidationError):
        settings(tmp_path, **wrong)
