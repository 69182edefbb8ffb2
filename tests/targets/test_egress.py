"""No target can be talked into reaching what is behind the server: judged on the connect."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from headrace.core import delivery
from headrace.targets import egress, http
from tests.targets.conftest import RawHandler, RealClock, Receiver, message

pytestmark = pytest.mark.anyio

StartRaw = Callable[[RawHandler], Awaitable[int]]


class Names:
    """A resolver whose answers a test writes; it counts how often it is asked."""

    def __init__(self, *answers: list[str]) -> None:
        self.answers = list(answers)
        self.asked = 0

    async def __call__(self, host: str, port: int) -> list[str]:
        self.asked += 1
        return self.answers[min(self.asked, len(self.answers)) - 1]


async def push(
    client: http.HttpClient, clock: RealClock, url: str, seconds: float = 5
) -> delivery.Outcome:
    sender = http.HttpSender(url, client, clock)
    return (await sender.send([message()], clock.mono_us() + int(seconds * 1e6)))[0]


@pytest.fixture
async def make() -> AsyncIterator[Callable[..., http.HttpClient]]:
    made: list[http.HttpClient] = []

    def build(guard: egress.Egress) -> http.HttpClient:
        made.append(http.HttpClient(guard))
        return made[-1]

    yield build
    for client in made:
        await client.close()


def spellings(port: int) -> list[str]:
    hosts = [
        "127.0.0.1", "localhost", "127.1", "127.0.1", "0177.0.0.1", "0x7f.0.0.1", "0x7f000001",
        "2130706433", "017700000001", "127.0.0.1.", "localhost.", "LOCALHOST", "0", "0.0.0.0",
        "127.127.127.127", "[::1]", "[0:0:0:0:0:0:0:1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]",
        "[::]", "[64:ff9b::7f00:1]", "[2002:7f00:1::]", "[::127.0.0.1]", "user:pass@127.0.0.1",
        "example.org@127.0.0.1", "①②⑦.⓪.⓪.①", "127。0。0。1", "127.0.0.1%2e", "[fe80::1%25lo]",
    ]  # fmt: skip
    return [f"http://{host}:{port}/" for host in hosts]


@pytest.fixture
async def canary(raw_server: StartRaw) -> tuple[int, list[object]]:
    """A port that notes every connection, with or without a request, and hangs up."""
    seen: list[object] = []

    async def note(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(writer.get_extra_info("peername"))
        writer.close()

    return await raw_server(note), seen


async def test_no_spelling_of_loopback_connects_when_private_is_denied(
    canary: tuple[int, list[object]], make: Callable[..., http.HttpClient], clock: RealClock
) -> None:
    port, seen = canary
    allowed = make(egress.Egress(allow_private=True))
    for url in spellings(port):
        await push(allowed, clock, url)
    assert len(seen) >= 10, "the spellings must reach the canary when nothing is denied"
    seen.clear()
    denied = make(egress.Egress(allow_private=False))
    for url in spellings(port):
        assert not (await push(denied, clock, url)).ok, url
    assert seen == []


async def test_a_denied_address_is_poisoned_and_says_so(
    receiver: Receiver, make: Callable[..., http.HttpClient], clock: RealClock
) -> None:
    client = make(egress.Egress(allow_private=False))
    outcome = await push(client, clock, receiver.url)
    assert (outcome.kind, outcome.code) == ("poisoned", 0)
    assert "address denied" in outcome.text
    by_name = await push(client, clock, f"http://localhost:{receiver.port}/")
    assert by_name.kind == "poisoned"


async def test_an_answer_that_flips_to_the_metadata_address_is_denied(
    raw_server: StartRaw, make: Callable[..., http.HttpClient], clock: RealClock
) -> None:
    """DNS rebinding: the first look-up is harmless, the next names the metadata service."""

    async def once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        writer.close()

    port = await raw_server(once)
    names = Names(["127.0.0.1"], ["169.254.169.254"])
    client = make(egress.Egress(allow_private=True, resolve=names))
    url = f"http://rebind.example:{port}/"
    assert (await push(client, clock, url)).ok
    assert names.asked == 1, "one connection, one look-up: the checked answer is the one used"
    flipped = await push(client, clock, url)
    assert names.asked == 2
    assert flipped.kind == "poisoned"
    assert "169.254.169.254" in flipped.text


async def test_one_bad_address_among_good_ones_denies_the_name(
    receiver: Receiver, make: Callable[..., http.HttpClient], clock: RealClock
) -> None:
    names = Names(["127.0.0.1", "169.254.169.254"])
    client = make(egress.Egress(allow_private=True, resolve=names))
    outcome = await push(client, clock, f"http://mixed.example:{receiver.port}/")
    assert outcome.kind == "poisoned"
    assert receiver.peers == set()


async def test_the_host_header_keeps_the_name_while_the_address_is_pinned(
    receiver: Receiver, make: Callable[..., http.HttpClient], clock: RealClock
) -> None:
    client = make(egress.Egress(allow_private=True, resolve=Names(["127.0.0.1"])))
    await push(client, clock, f"http://shop.example:{receiver.port}/")
    assert receiver.requests[0][1]["host"] == f"shop.example:{receiver.port}"


async def test_the_servers_own_port_is_denied_even_when_private_is_allowed(
    canary: tuple[int, list[object]], make: Callable[..., http.HttpClient], clock: RealClock
) -> None:
    port, seen = canary
    guard = egress.Egress(allow_private=True)
    guard.forbid_own_port(port)
    client = make(guard)
    for url in spellings(port):
        assert not (await push(client, clock, url)).ok, url
    assert seen == []


async def test_a_name_that_does_not_resolve_is_down(
    make: Callable[..., http.HttpClient], clock: RealClock
) -> None:
    async def fail(host: str, port: int) -> list[str]:
        raise OSError("no such host")

    client = make(egress.Egress(allow_private=True, resolve=fail))
    outcome = await push(client, clock, "http://nowhere.example/")
    assert (outcome.kind, outcome.code) == ("down", 0)


async def test_a_resolver_that_hangs_is_down_at_the_deadline(
    make: Callable[..., http.HttpClient], clock: RealClock
) -> None:
    never = asyncio.Event()

    async def hang(host: str, port: int) -> list[str]:
        await never.wait()
        return []

    client = make(egress.Egress(allow_private=True, resolve=hang))
    outcome = await push(client, clock, "http://slow.example/", seconds=0.2)
    assert outcome.kind == "down"
