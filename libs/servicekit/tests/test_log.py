import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from servicekit.observing import log


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = handlers, level
    structlog.reset_defaults()


def test_no_text_of_an_exception_reaches_the_log(capsys: pytest.CaptureFixture[str]) -> None:
    log.configure("test", "info")

    try:
        try:
            raise ValueError("rosalind@people.invalid")
        except ValueError as error:
            secret = "rosalind"  # a local that a talkative traceback would print
            raise KeyError(secret) from error
    except KeyError as error:
        log.logger("test").error("broke", exc_info=error)
        logging.getLogger("elsewhere").exception("broke elsewhere")

    ours, elsewhere = map(json.loads, capsys.readouterr().out.splitlines())
    assert "rosalind" not in json.dumps([ours, elsewhere])
    assert ours["exception"][0] == "KeyError"
    assert "ValueError" in elsewhere["exception"]
    assert any("test_log.py" in line for line in ours["exception"])
