"""How the quarantine is shown; servicekit's tests run the commands against a service."""

import pytest

from oncomentor_cli.casework import _print_list, age_of

RECORD = {
    "id": "scheduling-17",
    "state": "quarantined",
    "superseded": False,
    "reason_class": "handler_failed",
    "topic": "ingress.a-center-with-a-rather-long-name.response",
    "partition": 1,
    "record_offset": 1_234_567,
    "event_type": "availability.changed.v1",
    "subject": "0195d6a0-3b2c-7c1e-9c7a-0d9a4b3c2e11",
    "age_seconds": 93_784,
    "followers": 12,
}
COUNTS = [
    {
        "service": "scheduling",
        "reason_class": "handler_failed",
        "state": "quarantined",
        "records": 1,
    }
]


def test_ids_are_shown_whole(capsys: pytest.CaptureFixture[str]) -> None:
    _print_list(COUNTS, [RECORD, RECORD | {"superseded": True}], as_json=False)

    lines = capsys.readouterr().out.splitlines()
    for part in ("id", "state", "topic", "event_type", "subject", "reason_class"):
        assert str(RECORD[part]) in lines[-2]
    assert "1/1234567" in lines[-2]
    assert lines[-2].split()[-3:] == ["1d", "2h", "12"]
    assert "superseded" in lines[-1]


def test_an_empty_quarantine_is_said_and_is_no_data(capsys: pytest.CaptureFixture[str]) -> None:
    _print_list([], [], as_json=False)

    said = capsys.readouterr()
    assert (said.out, said.err) == ("", "nothing is in quarantine\n")


@pytest.mark.parametrize(
    ("seconds", "age"),
    [(0, "0s"), (59, "59s"), (61, "1m 1s"), (3600, "1h 0m"), (90_000, "1d 1h")],
)
def test_an_age_is_told_in_its_two_largest_units(seconds: int, age: str) -> None:
    assert age_of(seconds) == age
