"""Asked to end, the gateway withdraws its readiness first, lets what is under way finish, and sends those who only listen elsewhere."""

import json
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import httpx2
import pytest
from gateway import HOST
from processes import listening, wait_until
from raw import LEGACY, MODERN
from world import World


@pytest.fixture(scope="module")
def world(folder):
    with World(folder, "open") as world:
        yield world


@pytest.fixture
def started(world):
    """Starts the gateway anew, with these options."""
    source = world.gateway.source

    def start(*options):
        world.gateway.kill()
        world.gateway.source = lambda: [*source(), *options]
        return world.gateway.start()

    yield start
    world.gateway.source = source
    world.gateway.kill()
    world.gateway.start()


def ask_to_end(gateway):
    gateway.process.popen.send_signal(signal.SIGTERM)
    return time.monotonic()


def ended(gateway, seconds):
    """Waits for the end of the process and returns when it was; it must have ended of its own will."""
    assert gateway.process.popen.wait(seconds) == 0
    return time.monotonic()


def calling_slowly(pool, world, *callers, steps):
    """A long call by each, once all of them have reached the origin."""
    before = len(world.origins["open"].tools_called())
    calls = [pool.submit(caller.call, "slowly", steps=steps, seconds=0.1) for caller in callers]
    wait_until(lambda: len(world.origins["open"].tools_called()) == before + len(calls), what="the calls to reach the origin")
    return calls


class Listener:
    """A stream without an end of its own, read to its end: what was said on it, and whether the end was a clean one."""

    def __init__(self, caller):
        headers = {"Accept": "application/json, text/event-stream", "Authorization": f"Bearer {caller.token}", "MCP-Protocol-Version": caller.era}
        if caller.era == LEGACY:
            request = {"method": "GET", "headers": headers | {"Mcp-Session-Id": caller.session}}
        else:
            meta = {"io.modelcontextprotocol/protocolVersion": MODERN, "io.modelcontextprotocol/clientCapabilities": {}}
            params = {"notifications": {"toolsListChanged": True}, "_meta": meta}
            message = {"jsonrpc": "2.0", "id": "listening", "method": "subscriptions/listen", "params": params}
            request = {"method": "POST", "headers": headers | {"Mcp-Method": "subscriptions/listen"}, "json": message}
        self.messages, self.clean, self.open = [], None, threading.Event()
        self.thread = threading.Thread(target=self._read, args=(caller.url, request), daemon=True)
        self.thread.start()
        assert self.open.wait(10), "the stream did not open"

    def _read(self, url, request):
        try:
            with httpx2.stream(url=url, timeout=None, trust_env=False, **request) as answer:
                assert answer.status_code == 200
                self.open.set()
                for line in answer.iter_lines():
                    if line.startswith("data:"):
                        self.messages.append(json.loads(line[5:]))
            self.clean = True
        except httpx2.TransportError:
            self.clean = False

    def end(self, seconds):
        self.thread.join(seconds)
        assert not self.thread.is_alive(), f"the stream is still open after {seconds} s"
        return time.monotonic()


def test_calls_under_way_finish_and_streams_that_only_listen_end_cleanly(world, started):
    gateway = started()
    browser = world.browser()
    modern, legacy = world.caller("open", browser), world.caller("open", browser, era=LEGACY)
    listeners = [Listener(modern), Listener(legacy)]
    with ThreadPoolExecutor(2) as pool:
        calls = calling_slowly(pool, world, modern, legacy, steps=70)
        ask_to_end(gateway)
        for listener in listeners:
            listener.end(5)
        assert not any(call.done() for call in calls), "the calls were not under way any more"
        assert not gateway.ready()
        assert not listening(HOST, gateway.port), "somebody new was let in"
        for call in calls:
            assert call.result(20).result["content"][0]["text"]
    ended(gateway, 10)
    assert all(listener.clean for listener in listeners)
    # 2026-07-28, basic/patterns/subscriptions, "Graceful Closure".
    last = listeners[0].messages[-1]
    assert last == {"jsonrpc": "2.0", "id": "listening", "result": {"resultType": "complete", "_meta": {"io.modelcontextprotocol/subscriptionId": "listening"}}}
    assert not any(event["outcome"] not in ("success",) for event in gateway.events()[-4:])


def test_for_a_while_it_goes_on_serving_so_that_others_can_hear_of_it(world, started):
    gateway = started("--shutdown-delay", "3s")
    caller = world.caller("open", world.browser())
    assert "connection" not in caller.call("echo", text="before").headers
    stream = Listener(caller)
    asked = ask_to_end(gateway)
    wait_until(lambda: not gateway.ready(), seconds=2, what="readiness to go")
    while time.monotonic() - asked < 2:
        answer = caller.call("echo", text="meanwhile")
        assert answer.status == 200
        assert answer.headers["connection"] == "close", "the next call would come here again"
        time.sleep(0.05)
    assert stream.thread.is_alive(), "whoever listens would come back here at once"
    stream.end(10)
    assert stream.clean
    assert ended(gateway, 10) - asked >= 3


def test_what_does_not_finish_is_cut_off_when_its_time_is_over(world, started):
    gateway = started("--drain", "1s")
    caller = world.caller("open", world.browser())
    with ThreadPoolExecutor(1) as pool:
        [call] = calling_slowly(pool, world, caller, steps=200)
        asked = ask_to_end(gateway)
        assert ended(gateway, 10) - asked >= 0.9
        assert isinstance(call.exception(5), httpx2.TransportError)


def test_who_asks_twice_does_not_wait(world, started):
    gateway = started()
    caller = world.caller("open", world.browser())
    with ThreadPoolExecutor(1) as pool:
        [call] = calling_slowly(pool, world, caller, steps=200)
        ask_to_end(gateway)
        time.sleep(0.3)
        ask_to_end(gateway)
        ended(gateway, 10)
        assert call.exception(5)
