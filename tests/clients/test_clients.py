"""Every client signs in at the company's identity provider and calls a tool, in the era that it prefers."""

import json

import pytest
from drivers import KINDS, inspect
from world import World

PREFERRED = {
    "typescript-sdk": "legacy",
    "typescript-client": "legacy",
    "python-mcp": "modern",
    "fastmcp": "modern",
    "mcp-remote": "modern",
}
ROUTES = {
    "open": ("echo", {"text": "hello"}, "hello"),
    "json": ("echo", {"text": "hello"}, "hello"),
    "keyed": ("add", {"a": 2, "b": 3}, "5"),
    "accounts": ("whoami", {}, "ana"),
}


@pytest.fixture(scope="module")
def world(folder):
    with World(folder, "open", "json", "keyed", "accounts", "everything") as world:
        yield world


@pytest.fixture(scope="module")
def ana(world):
    return world.browser("ana")


@pytest.mark.requirement("quirks.programs")
@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("name", KINDS)
def test_a_client_signs_in_and_calls_a_tool_in_the_era_it_prefers(world, ana, name, route):
    tool, arguments, answer = ROUTES[route]
    client = world.client(name, route, ana)
    try:
        assert client.connect()["era"] == PREFERRED[name]
        assert tool in client.names()
        assert client.text(tool, **arguments) == answer
        assert world.origins[route].tools_called()[-1] == tool
    finally:
        client.stop()


@pytest.mark.parametrize("name", KINDS)
def test_a_client_of_either_era_uses_an_origin_of_the_legacy_era(world, ana, name):
    client = world.client(name, "everything", ana)
    try:
        assert client.connect()["era"] == "legacy"
        assert "echo" in client.names()
        assert "hello" in client.text("echo", message="hello")
    finally:
        client.stop()


@pytest.mark.requirement("quirks.programs")
@pytest.mark.parametrize("route", [*ROUTES, "everything"])
def test_the_inspector_signs_in_lists_and_calls(world, ana, folder, route):
    url = world.gateway.url(route)
    tool, arguments, answer = ROUTES.get(route, ("echo", {"message": "hello"}, "hello"))
    listed = inspect(url, ana, folder / route, "--method", "tools/list")
    assert tool in json.dumps(listed)
    called = inspect(url, ana, folder / route, "--method", "tools/call", "--tool-name", tool, "--tool-args-json", json.dumps(arguments))
    assert answer in json.dumps(called)


@pytest.mark.parametrize("mode", ["legacy", "auto"])
@pytest.mark.parametrize("name", ["typescript-client", "python-mcp"])
def test_a_client_that_knows_both_eras_can_be_held_to_either(world, ana, name, mode):
    client = world.client(name, "open", ana, mode=mode)
    try:
        assert client.connect()["era"] == ("modern" if mode == "auto" else "legacy")
        assert client.text("echo", text="hello") == "hello"
        assert "docs://readme" in client.names("resources")
        assert client.ask("read", uri="notes://7")["contents"][0]["text"] == "note 7"
        assert "Greet Ana" in json.dumps(client.ask("prompt", name="greet", arguments={"name": "Ana"}))
    finally:
        client.stop()


def test_a_stream_of_progress_arrives_while_the_tool_still_runs(world, ana):
    import time

    import httpx2
    from raw import MODERN

    caller = world.caller("open", ana)
    meta = {
        "io.modelcontextprotocol/protocolVersion": MODERN,
        "io.modelcontextprotocol/clientCapabilities": {},
        "progressToken": "p",
    }
    message = {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "tools/call",
        "params": {"name": "slowly", "arguments": {"steps": 5, "seconds": 0.2}, "_meta": meta},
    }
    headers = {
        "Authorization": f"Bearer {caller.token}",
        "Accept": "application/json, text/event-stream",
        "MCP-Protocol-Version": MODERN,
        "Mcp-Method": "tools/call",
        "Mcp-Name": "slowly",
    }
    started = time.monotonic()
    seen = []
    with httpx2.stream("POST", caller.url, json=message, headers=headers, trust_env=False) as answer:
        for line in answer.iter_lines():
            if line.startswith("data:") and line[5:].strip():
                seen.append((time.monotonic() - started, json.loads(line[5:])))
    progress = [at for at, each in seen if each.get("method") == "notifications/progress"]
    assert len(progress) == 5
    assert progress[0] < 0.6 < seen[-1][0], f"buffered: first progress after {progress[0]:.2f} s, the end after {seen[-1][0]:.2f} s"
    assert progress[-1] - progress[0] > 0.5
