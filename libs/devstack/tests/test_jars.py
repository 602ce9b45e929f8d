import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from devstack.errors import DevstackError
from devstack.jars import Jar, fetch_jars, locked_jars

CONTENT = {f"part-{number}": f"jar number {number}".encode() * 1000 for number in range(5)}


class Repository(ThreadingHTTPServer):
    """A Maven repository on loopback that can be told to misbehave."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.asked: list[str] = []
        self.instead: dict[str, bytes] = {}
        self.truncated: set[str] = set()
        self.missing: set[str] = set()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/maven"


class Answer(BaseHTTPRequestHandler):
    server: Repository

    def do_GET(self) -> None:
        name = self.path.split("/")[-3]
        self.server.asked.append(name)
        if name in self.server.missing:
            self.send_error(404)
            return
        content = self.server.instead.get(name, CONTENT[name])
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content[:100] if name in self.server.truncated else content)

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def repository() -> Iterator[Repository]:
    server = Repository()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def a_jar(name: str) -> Jar:
    return Jar("org.example", name, "1.0", hashlib.sha256(CONTENT[name]).hexdigest())


JARS = [a_jar(name) for name in CONTENT]


def fetch(cache: Path, repository: Repository) -> tuple[Path, ...]:
    return fetch_jars(cache, lambda text: None, jars=JARS, addresses=[repository.address])


def test_all_jars_arrive_once_and_whole(tmp_path: Path, repository: Repository) -> None:
    first = fetch(tmp_path, repository)

    second = fetch(tmp_path, repository)

    assert [path.read_bytes() for path in first] == list(CONTENT.values())
    assert second == first
    assert sorted(repository.asked) == sorted(CONTENT)


def test_a_jar_with_another_content_is_refused(tmp_path: Path, repository: Repository) -> None:
    repository.instead["part-2"] = b"something else"

    with pytest.raises(DevstackError, match=r"part-2-1\.0\.jar could not be fetched"):
        fetch(tmp_path, repository)

    assert not (tmp_path / "jars" / "part-2-1.0.jar").exists()


def test_a_truncated_jar_is_refused_and_leaves_nothing_behind(
    tmp_path: Path, repository: Repository
) -> None:
    repository.truncated.add("part-1")

    with pytest.raises(DevstackError, match=r"part-1-1\.0\.jar"):
        fetch(tmp_path, repository)

    there = sorted(path.name for path in (tmp_path / "jars").iterdir())
    assert there == [f"part-{number}-1.0.jar" for number in (0, 2, 3, 4)]


def test_the_next_fetch_goes_on_where_the_first_stopped(
    tmp_path: Path, repository: Repository
) -> None:
    repository.missing.add("part-3")
    with pytest.raises(DevstackError, match=r"answered 404.*what has arrived is kept"):
        fetch(tmp_path, repository)
    repository.missing.clear()
    repository.asked.clear()

    fetch(tmp_path, repository)

    assert repository.asked == ["part-3"]


def test_a_jar_that_was_damaged_in_the_cache_is_fetched_again(
    tmp_path: Path, repository: Repository
) -> None:
    damaged, *_ = fetch(tmp_path, repository)
    damaged.write_bytes(damaged.read_bytes()[:-1])
    repository.asked.clear()

    fetch(tmp_path, repository)

    assert repository.asked == ["part-0"]
    assert damaged.read_bytes() == CONTENT["part-0"]


def test_a_full_cache_needs_no_network(tmp_path: Path, repository: Repository) -> None:
    fetch(tmp_path, repository)

    nowhere = fetch_jars(tmp_path, lambda text: None, jars=JARS, addresses=[])

    assert len(nowhere) == len(JARS)


def test_the_committed_list_names_kafka_itself_and_no_address() -> None:
    jars = locked_jars()

    assert "kafka_2.13-4.4.0.jar" in {jar.file_name for jar in jars}
    assert len({jar.version for jar in jars if jar.group == "org.apache.kafka"}) == 1
    assert all(len(jar.sha256) == 64 for jar in jars)
