"""Clients that use as much as they can: connections, bodies, requests, streams and events (CWE-400, CWE-770). docs/limits.md has the
limits. The gateway of this module has low ones, where a test would otherwise need thousands of clients."""

import json
import os
import re
import threading
import time
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
from gateway import HOST, Gateway
from processes import wait_until
from raw import LEGACY, MODERN, Caller
from sockets import Wire, split
from streams import Stream
from world import World

PROXY = "127.77.0.1"
LIMITS = {
    "--max-connections": 300, "--max-connections-per-address": 20, "--max-requests-per-principal": 6, "--max-streams-per-principal": 3,
    "--max-request-memory": 12,
}  # fmt: skip
FORMS = ["/mcp/open/oauth/register", "/oauth/register", "/register", "/mcp/open/oauth/token", "/oauth/token", "/mcp/open/oauth/revoke", "/oauth/revoke"]
PAGES = ["/login", "/login/backchannel/company", "/login/development", "/sign-out", "/consent/x", "/consent/x/connect", "/connect/x", "/api/me", "/"]


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    with World(tmp_path_factory.mktemp("overload"), "open", trustedProxies=[f"{PROXY}/32"]) as world:
        yield limited(world)


def limited(world: World) -> World:
    """Starts the gateway again, with low limits. The users have signed in before."""
    world.tokens = {name: world.oauth("open").sign_in(world.browser(name)).access_token for name in ("ana", "bob")}
    world.gateway.stop()
    world.gateway.arguments = [str(each) for pair in LIMITS.items() for each in pair]
    world.gateway.start()
    return world


@pytest.fixture(scope="module", autouse=True)
def patient(world):
    """Connections that are held while the other tests run, and when each of them was closed."""
    machine = "127.87.0.1"
    wires = {(admin, start): wire(world, machine, admin) for admin in (False, True) for start in (b"", b"GET / HTTP/1.1\r\nHost: ")}
    for (_, start), each in wires.items():
        each.send(start)
    ended: dict = {}
    watcher = threading.Thread(target=lambda: ended.update(closed_after(wires, 75)), daemon=True)
    watcher.start()
    yield wires, ended, watcher
    for each in wires.values():
        each.close()


@pytest.fixture
def held():
    """Keeps what a test opens, and closes it at the end."""
    with ExitStack() as stack:
        yield lambda wire: stack.enter_context(wire)


@pytest.fixture
def of_ana(small):
    """A token of Ana's."""
    return small.tokens["ana"]


def wire(world: World, machine: str | None = None, admin: bool = False, seconds: float = 15) -> Wire:
    return Wire(HOST, world.gateway.admin_port if admin else world.gateway.port, seconds=seconds, machine=machine)


def head(world: World, path: str, length: int | None, token: str | None = None, kind: str = "application/json") -> str:
    lines = [f"POST {path} HTTP/1.1", f"Host: {HOST}:{world.gateway.port}", f"Content-Type: {kind}", "Accept: application/json, text/event-stream"]
    lines.append("Transfer-Encoding: chunked" if length is None else f"Content-Length: {length}")
    if token:
        lines += [f"Authorization: Bearer {token}", f"MCP-Protocol-Version: {MODERN}", "Mcp-Method: tools/list"]
    return "\r\n".join(lines) + "\r\n\r\n"


def open_now(wire: Wire) -> bool:
    """Whether the other side has closed the connection by now."""
    wire.socket.setblocking(False)
    try:
        return wire.socket.recv(65_536) != b""
    except BlockingIOError:
        return True
    except ConnectionError:
        return False
    finally:
        wire.socket.settimeout(wire.seconds)


def metric(world: World, name: str) -> int:
    found = re.search(rf"^portcullis_{name} (\d+)$", world.gateway.admin("/metrics").text, re.MULTILINE)
    assert found, f"there is no metric {name}"
    return int(found[1])


META = {
    "io.modelcontextprotocol/protocolVersion": MODERN,
    "io.modelcontextprotocol/clientCapabilities": {},
    "io.modelcontextprotocol/clientInfo": {"name": "raw", "version": "1"},
}


def listing(number: int = 1) -> bytes:
    """A request that an origin answers without a session."""
    return json.dumps({"jsonrpc": "2.0", "id": number, "method": "tools/list", "params": {"_meta": META}}).encode()


def answered(world: World, wire: Wire, token: str) -> int:
    """The status of a request on a connection that stays open."""
    wire.received.clear()
    return wire.send(head(world, "/mcp/open", len(listing()), token), listing()).reply().status


def closed_after(wires: dict, seconds: float) -> dict[object, float]:
    """When each connection was closed, in seconds from now. What stays open is missing."""
    started, ended = time.monotonic(), {}
    while len(ended) < len(wires) and time.monotonic() < started + seconds:
        for key, each in wires.items():
            if key not in ended and not drain(each):
                ended[key] = time.monotonic() - started
        time.sleep(0.1)
    return ended


def drain(wire: Wire) -> bool:
    """Keeps what has arrived; returns whether the connection is still open."""
    wire.socket.setblocking(False)
    try:
        while chunk := wire.socket.recv(65_536):
            wire.received += chunk
        return False
    except BlockingIOError:
        return True
    except ConnectionError:
        return False


def test_a_held_body_is_given_up_wherever_it_is_sent(world, token, held):
    """No body is waited for without an end: of messages, OAuth endpoints and pages, with a length and in chunks."""
    wires = {}
    for path in ["/mcp/open", "/mcp/unknown", *FORMS, *PAGES]:
        for length in (1000, None):
            wires[path, length] = each = held(wire(world))
            kind = "application/x-www-form-urlencoded" if "register" not in path and "mcp" not in path else "application/json"
            each.send(head(world, path, length, token if path == "/mcp/open" else None, kind), b"" if length is None else b"{")
    ended = closed_after(wires, 20)
    assert not set(wires) - set(ended), "these are still waited for"
    for key in [("/mcp/open", 1000), ("/mcp/open", None)] + [(path, length) for path in FORMS for length in (1000, None)]:
        assert [reply.status for reply in split(bytes(wires[key].received))] == [408], key
        assert 8 < ended[key] < 14, key
    reply = split(bytes(wires["/mcp/open/oauth/token", 1000].received))[0]
    assert json.loads(reply.body)["error"] == "invalid_request"
    reply = split(bytes(wires["/mcp/open", 1000].received))[0]
    assert json.loads(reply.body)["error"]["data"]["reason"] == "request_timeout"
    assert world.gateway.wait_event("mcp.request", reason="request_timeout")["subject"].endswith("ana")


def test_a_body_that_drips_is_given_up_and_a_slow_one_is_read(world, token, held):
    dripping = {path: held(wire(world)) for path in ["/mcp/open", "/mcp/open/oauth/register"]}
    for path, each in dripping.items():
        each.send(head(world, path, 1000, token))
    slow = held(wire(world))
    message = listing() + b" " * 20_000
    slow.send(head(world, "/mcp/open", len(message), token))
    ended, started, sent = {}, time.monotonic(), 0
    while time.monotonic() < started + 16:
        for path, each in dripping.items():
            if path not in ended and not drain(each):
                ended[path] = time.monotonic() - started
            with suppress(OSError):
                each.socket.send(b" ")
        if sent < len(message):
            slow.socket.setblocking(True)
            slow.send(message[sent : sent + 800])
            sent += 800
        time.sleep(0.5)
    assert {path for path, seconds in ended.items() if 8 < seconds < 14} == set(dripping)
    assert slow.reply().status == 200


def test_a_body_that_is_held_at_the_private_listener_is_not_waited_for(world, held):
    wires = {}
    for path in ["/metrics", "/healthz", "/readyz", "/debug/routes", "/catalogs", "/unknown"]:
        wires[path] = held(wire(world, admin=True))
        wires[path].send(f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n", b"x")
    assert set(closed_after(wires, 10)) == set(wires)


def test_many_connections_to_the_private_listener_keep_no_probe_out(world, held):
    before = [held(wire(world, admin=True)) for _ in range(300)]
    for each in before:
        each.send(b"GET /")
    assert world.gateway.admin("/readyz").status_code == 200
    wait_until(lambda: sum(map(open_now, before)) <= 128, what="the oldest to be closed")


def test_held_connections_keep_no_signed_in_client_out(small, of_ana, held):
    """Strangers from many addresses displace each other. The limit holds, and each new connection with a token is served."""
    proven = held(wire(small))
    assert answered(small, proven, of_ana) == 200
    strangers = [held(wire(small, f"127.80.0.{1 + number // 10}")) for number in range(300)]
    for number, each in enumerate(strangers):
        with suppress(ConnectionError):
            each.send(head(small, "/mcp/open/oauth/register", 1000), b"{" if number % 2 else b"")
    wait_until(lambda: sum(map(open_now, strangers)) <= 120, what="strangers to be closed")
    assert metric(small, "connections") <= 130
    assert metric(small, "connections_refused_total") >= 170
    for _ in range(10):
        with wire(small) as fresh:
            assert answered(small, fresh, of_ana) == 200
    assert answered(small, proven, of_ana) == 200


def test_an_address_has_few_connections_until_they_carry_a_token(small, of_ana, held):
    proven = []
    for _ in range(25):
        proven.append(held(wire(small, "127.81.0.1")))
        assert answered(small, proven[-1], of_ana) == 200
    other = held(wire(small, "127.81.0.2"))
    strangers = [held(wire(small, "127.81.0.1")) for _ in range(60)]
    wait_until(lambda: sum(map(open_now, strangers)) <= 20, what="the oldest to be closed")
    assert [open_now(each) for each in strangers][-20:] == [True] * 20, "the newest stay"
    assert open_now(other), "other addresses are not concerned"
    assert [answered(small, each, of_ana) for each in proven] == [200] * 25


def test_a_token_that_is_not_valid_proves_no_connection(small, held):
    """Nor does a valid one at a route that does not exist."""
    strangers = [held(wire(small, "127.82.0.1")) for _ in range(30)]
    for each in strangers:
        with suppress(ConnectionError):
            each.send(head(small, "/mcp/open", len(listing()), "made-up"), listing())
    wait_until(lambda: sum(map(open_now, strangers)) <= 20, what="the oldest to be closed")


def test_a_trusted_proxy_has_no_limit_of_an_address(small, held):
    of_proxy = [held(wire(small, PROXY)) for _ in range(50)]
    held(wire(small, "127.83.0.1"))
    time.sleep(0.5)
    assert all(map(open_now, of_proxy))


def test_memory_for_bodies_is_limited_per_user_and_the_rest_is_told_to_come_back(small, held):
    """Bytes count when they are there: what a client only announces keeps nobody out."""
    tokens, large = small.tokens, 4 * 1024 * 1024 - 100
    announced = [held(wire(small)) for _ in range(3)]
    for each in announced:
        each.send(head(small, "/mcp/open", large, tokens["bob"]))
    uploads = [held(wire(small)) for _ in range(3)]
    for each in uploads:
        with suppress(ConnectionError):
            each.send(head(small, "/mcp/open", large, tokens["ana"]), b" " * (large - 1000))
        time.sleep(0.2)
    refused = [split(each.read(lambda received: len(split(bytes(received))) > 0)) for each in uploads[1:]]
    for reply in [reply for replies in refused for reply in replies]:
        assert (reply.status, reply.header("retry-after")) == (503, "5")
        assert json.loads(reply.body)["error"]["data"]["reason"] == "overloaded"
    assert any(refused), "nothing was refused"
    assert metric(small, "request_memory_bytes") <= 12 << 20
    message = listing() + b" " * 1_000_000
    with wire(small) as other:
        assert other.send(head(small, "/mcp/open", len(message), tokens["bob"]), message).reply().status == 200
    uploads[0].send(b" " * (1000 - len(listing())), listing())
    assert uploads[0].reply().status == 200
    wait_until(lambda: metric(small, "request_memory_bytes") == 0, what="the memory to be returned")


def test_memory_for_forms_is_limited_too(small, of_ana, held):
    """A quarter of the memory, for all strangers together."""
    forms = []
    for number in range(80):
        forms.append(held(wire(small, f"127.84.0.{1 + number // 10}")))
        with suppress(ConnectionError):
            forms[-1].send(head(small, FORMS[number % len(FORMS)], 120_000), b"x" * 110_000)
    wait_until(lambda: [drain(each) for each in forms] and any(each.received for each in forms), what="a refusal")
    replies = [reply for each in forms for reply in split(bytes(each.received))]
    assert {(reply.status, reply.header("retry-after")) for reply in replies} == {(503, "5")}
    assert json.loads(replies[0].body)["error"] == "temporarily_unavailable"
    assert metric(small, "request_memory_bytes") <= 3 << 20
    with wire(small) as fresh:
        assert answered(small, fresh, of_ana) == 200


def test_small_pieces_of_a_body_use_no_more_memory_than_large_ones(small, of_ana, held):
    """A piece of one byte has been kept in a list: 32 bytes and more for each."""
    before = resident(small.gateway)
    pieces = b"1\r\n \r\n" * 1_000_000
    for _ in range(2):
        upload = held(wire(small, seconds=60))
        upload.send(head(small, "/mcp/open", None, of_ana), pieces)
    time.sleep(1)
    grown = resident(small.gateway) - before
    assert metric(small, "request_memory_bytes") >= 1_000_000
    assert grown < 24 << 20, f"{grown >> 20} MiB for two bodies of 1 MB"


def test_a_user_has_a_number_of_requests_in_progress_and_others_continue(small, held):
    tokens = small.tokens
    wait_until(lambda: metric(small, "request_memory_bytes") == 0, what="the uploads of other tests to end")
    uploads = [held(wire(small)) for _ in range(6)]
    for each in uploads:
        each.send(head(small, "/mcp/open", len(listing()), tokens["ana"]))
    time.sleep(0.5)
    with wire(small) as more:
        reply = more.send(head(small, "/mcp/open", len(listing()), tokens["ana"]), listing()).reply()
    assert (reply.status, reply.header("retry-after")) == (429, "5")
    assert json.loads(reply.body)["error"]["data"]["reason"] == "too_many_requests"
    with wire(small) as other:
        assert answered(small, other, tokens["bob"]) == 200
    assert small.gateway.wait_event("mcp.request", reason="too_many_requests")["subject"].endswith("ana")
    for each in uploads:
        assert each.send(listing()).reply().status == 200
    with wire(small) as again:
        assert answered(small, again, tokens["ana"]) == 200


def test_a_user_has_a_number_of_streams_that_are_no_requests_in_progress(small, of_ana):
    callers = [Caller(small.url("open"), of_ana, LEGACY) for _ in range(4)]
    for caller in callers:
        caller.initialize()
    streams = [Stream(caller) for caller in callers[:3]]
    with pytest.raises(AssertionError, match="refused with 429"):
        Stream(callers[3])
    assert metric(small, "streams") == 3
    assert caller.call("echo", text="x").status == 200
    assert all(stream.open for stream in streams)
    small.gateway.stop()
    small.gateway.start()
    assert [stream.wait_end() for stream in streams]


class Unread(Gateway):
    """A gateway whose events nobody reads until the test does."""

    def __init__(self, gateway: Gateway):
        self.__dict__ |= gateway.__dict__
        self.stdout = gateway.folder / "unread.events"
        os.mkfifo(self.stdout)
        self.reader = os.open(self.stdout, os.O_RDONLY | os.O_NONBLOCK)
        self.read = bytearray()

    def take(self) -> None:
        with suppress(BlockingIOError):
            while chunk := os.read(self.reader, 1 << 20):
                self.read += chunk


def test_requests_whose_events_cannot_be_recorded_are_refused_where_the_gateway_says_so(tmp_path):
    """`onOverload: Refuse`. Nobody reads the events; what was served has its event nonetheless."""
    with World(tmp_path, "open", audit={"onOverload": "Refuse"}) as world:
        token = world.oauth("open").sign_in(world.browser("ana")).access_token
        world.gateway.stop()
        world.gateway = unread = Unread(world.gateway)
        unread.start()
        name = "x" * 500
        call = json.dumps({"jsonrpc": "2.0", "id": 1, "method": name}).encode()
        # The gateway itself answers: the header says something else than the body.
        head_of_call = head(world, "/mcp/open", len(call), token).replace("\r\n", "\r\nMcp-Method: ping\r\n", 1)
        served, refused = 0, None
        with wire(world, seconds=60) as each:
            while refused is None:
                assert served < 60_000, "nothing is refused"
                each.send((head_of_call.encode() + call) * 50)
                for _ in range(50):
                    reply = take_reply(each)
                    if reply.status == 503:
                        refused = reply
                        break
                    served += 1
        assert json.loads(refused.body)["error"]["data"]["reason"] == "events_overloaded"
        assert refused.header("retry-after") == "5"
        with wire(world) as each:
            assert each.send(f"GET / HTTP/1.1\r\nHost: {HOST}:{world.gateway.port}\r\n\r\n").reply().status == 503
        assert metric(world, "events_dropped_total") == 0
        deadline = time.monotonic() + 30
        while metric(world, "events_queued_bytes") and time.monotonic() < deadline:
            unread.take()
        with wire(world) as each:
            assert answered(world, each, token) == 200
        wait_until(lambda: unread.take() or unread.read.count(name.encode()) >= served, what="the events")
        lines = [json.loads(line) for line in bytes(unread.read).splitlines()]
        assert sum(each.get("mcp.method.name") == name for each in lines) == served


def take_reply(wire: Wire):
    """The next of several replies."""
    while not (found := split(bytes(wire.received[:65_536]))):
        chunk = wire.socket.recv(65_536)
        assert chunk, "the connection was closed"
        wire.received += chunk
    length = wire.received.index(b"\r\n\r\n") + 4 + len(found[0].body)
    del wire.received[:length]
    return found[0]


def resident(gateway: Gateway) -> int:
    """Memory of the process, in bytes."""
    status = Path(f"/proc/{gateway.process.popen.pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+) kB", status)[1]) * 1024


def test_strangers_at_once_displace_no_event_of_a_user(world, caller, held):
    """A small version of the suite `overload`: held bodies, refused requests and registrations, while a user calls."""
    cursor, dropped = world.gateway.cursor(), metric(world, "events_dropped_total")
    bodies = [held(wire(world, f"127.85.{number // 200}.1")) for number in range(800)]
    for each in bodies:
        with suppress(ConnectionError):
            each.send(head(world, "/mcp/open/oauth/register", 60_000), b"x" * 30_000)
    flood = [held(wire(world, f"127.86.0.{1 + number}")) for number in range(20)]
    request = (head(world, "/mcp/open", len(listing()), "made-up").encode() + listing()) * 200
    calls = 0
    for _ in range(10):
        for each in flood:
            each.socket.settimeout(each.seconds)
            with suppress(OSError):
                each.send(request)
        for each in flood:
            drain(each)
        assert caller.call("echo", text="x").status == 200
        calls += 1
    assert resident(world.gateway) < 400 << 20
    of_calls = {"capability": "echo", "subject": "company:ana", "after": cursor}
    wait_until(lambda: len(world.gateway.events("mcp.capability", **of_calls)) == calls, what="an event for each call")
    assert metric(world, "events_dropped_total") == dropped


def test_a_head_that_never_ends_is_given_up(patient):
    """Of the public and the private listener. The limit is 60 s, as for idle connections."""
    wires, ended, watcher = patient
    watcher.join()
    assert set(ended) == set(wires)
    assert all(55 < seconds < 70 for seconds in ended.values()), ended
