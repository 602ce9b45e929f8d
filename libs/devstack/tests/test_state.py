import socket
from pathlib import Path

import pytest

from devstack.errors import DevstackError
from devstack.state import State, is_free


def test_a_port_is_chosen_once_and_remembered(tmp_path: Path) -> None:
    first = State(tmp_path / "state.json").port("kafka")

    assert State(tmp_path / "state.json").port("kafka") == first


def test_ports_of_one_stack_differ(tmp_path: Path) -> None:
    state = State(tmp_path / "state.json")

    ports = {state.port(str(number)) for number in range(50)}

    assert len(ports) == 50


def test_a_port_somebody_listens_on_is_not_free() -> None:
    with socket.socket() as somebody:
        somebody.bind(("127.0.0.1", 0))
        somebody.listen()

        assert not is_free(somebody.getsockname()[1])


def test_a_broken_state_file_is_named_in_the_error(tmp_path: Path) -> None:
    (tmp_path / "state.json").write_text("{")

    with pytest.raises(DevstackError, match=r"state\.json.*delete it"):
        State(tmp_path / "state.json").port("kafka")
