from pathlib import Path

import pytest

from oncomentor_client.credentials import Credentials
from oncomentor_client.errors import UnusableFileError


def test_a_center_has_all_its_work_needs(credentials: Credentials) -> None:
    assert credentials.institution_id == "harbor-demo"
    assert len(credentials.center_key) >= 32
    assert credentials.kafka.username == "inst-harbor-demo"
    assert credentials.address("profile").startswith("http://")


def test_secrets_are_not_shown(credentials: Credentials) -> None:
    assert "password" not in repr(credentials)
    assert "client_secret" not in repr(credentials)
    assert "harbor center" not in repr(credentials)


def test_a_reader_is_no_center(tmp_path: Path) -> None:
    path = tmp_path / "downstream.toml"
    path.write_text('[http]\nprofile = "http://127.0.0.1:9/"\n')
    reader = Credentials.load(path)

    assert reader.holder == "downstream"
    assert reader.address("profile") == "http://127.0.0.1:9"
    for missing in ("institution_id", "center_key", "kafka", "oidc"):
        with pytest.raises(UnusableFileError):
            getattr(reader, missing)
    with pytest.raises(UnusableFileError, match="matching"):
        reader.address("matching")


def test_a_missing_file_says_how_to_get_one(tmp_path: Path) -> None:
    with pytest.raises(UnusableFileError, match="oncomentor dev provision nobody"):
        Credentials.load(tmp_path / "nobody.toml")


@pytest.mark.parametrize(
    "text",
    [
        "not toml",
        'institution_id = "a"',
        'institution_id = "a"\npseudonym_key = "c2hvcnQ"',
        'institution_id = "a"\npseudonym_key = "a"',
        '[kafka]\nbootstrap = "x"',
        'kafka = "x"',
    ],
)
def test_a_file_with_something_missing_says_which_file(tmp_path: Path, text: str) -> None:
    path = tmp_path / "harbor-demo.toml"
    path.write_text(text)

    with pytest.raises(UnusableFileError, match=r"harbor-demo\.toml"):
        Credentials.load(path)
