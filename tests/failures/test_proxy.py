"""The proxy is a plain wire until it is told otherwise."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from testkit.proxy import Cut, Proxy

HOST = "127.0.0.1"


@pytest.fixture
async def seen() -> list[bytes]:
    return []


@pytest.fixture
async def proxy(seen: list[bytes]) -> AsyncIterator[Proxy]:
    """A proxy before a server that answers `yes` to whatever it reads."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(1000):
                seen.append(data)
                writer.write(b"yes")
        except ConnectionError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(answer, HOST, 0)
    made = Proxy(server.sockets[0].getsockname)
    await made.start()
    yield made
    await made.stop()
    server.close()
    await asyncio.sleep(0)  # for what was cut to be closed


async def ask(port: int, question: bytes) -> bytes:
    reader, writer = await asyncio.open_connection(HOST, port)
    try:
        writer.write(question)
        return await asyncio.wait_for(reader.read(1000), 5)
    except ConnectionError:
        return b"reset"
    finally:
        writer.close()


async def test_it_passes_both_ways(proxy: Proxy) -> None:
    assert await ask(proxy.port, b"question") == b"yes"


async def test_it_refuses_and_heals(proxy: Proxy) -> None:
    proxy.refuses = True
    refused = await ask(proxy.port, b"question")
    proxy.heal()

    assert refused in {b"reset", b""}
    assert await ask(proxy.port, b"question") == b"yes"


async def test_it_cuts_what_is_open(proxy: Proxy) -> None:
    reader, writer = await asyncio.open_connection(HOST, proxy.port)
    writer.write(b"question")
    await reader.read(1000)

    proxy.cut()

    try:
        rest = await asyncio.wait_for(reader.read(1000), 5)
    except ConnectionResetError:
        rest = b""
    assert rest == b""
    writer.close()


@pytest.mark.parametrize(("when", "arrived"), [("before", []), ("after", [b"COMMIT;"])])
async def test_a_commit_loses_its_answer_and_arrives_or_not(
    proxy: Proxy, seen: list[bytes], when: Cut, arrived: list[bytes]
) -> None:
    proxy.cut_when, proxy.cut_commits = when, 1

    lost = await ask(proxy.port, b"COMMIT;")
    seen_then = list(seen)

    assert lost in {b"reset", b""}
    assert seen_then == arrived
    assert await ask(proxy.port, b"COMMIT;") == b"yes"
