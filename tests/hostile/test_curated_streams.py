"""What a route hides stays hidden in subscriptions, notifications, replays and later pages of lists."""

import json

import httpx2
import pytest
from impostor import Asked, raw, result
from raw import LEGACY, MODERN, Caller

SHOWN, HIDDEN = "docs://team/shown", "docs://team/hidden"
RULES = {
    "capabilities": {
        "tools": {"include": ["shown*"]},
        "prompts": {"include": ["shown*"]},
        "resources": {"include": [f"{SHOWN}*"]},
        "resourceTemplates": {"include": ["shown://*"]},
    }
}
LISTS = {
    "tools/list": ("tools", "name", "shown", "hidden"),
    "prompts/list": ("prompts", "name", "shown", "hidden"),
    "resources/list": ("resources", "uri", SHOWN, HIDDEN),
    "resources/templates/list": ("resourceTemplates", "uriTemplate", "shown://{id}", "hidden://{id}"),
}


def items(method: str, page: int = 1) -> list[dict]:
    """A hidden item, one that is offered, and another hidden one."""
    _, key, shown, hidden = LISTS[method]
    more = {"inputSchema": {"type": "object"}} if method == "tools/list" else {"name": "x"}
    return [{**more, key: f"{name}{page}"} for name in (hidden, shown, hidden)]


def event(message: dict, number: int = 1) -> bytes:
    return f"id: {number}\ndata: {json.dumps({'jsonrpc': '2.0', **message})}\n\n".encode()


def updated(uri: str) -> dict:
    return {"method": "notifications/resources/updated", "params": {"uri": uri}}


def stream(*messages: dict) -> list[bytes]:
    """A stream that ends after these messages."""
    head = raw(200, b"", ("Content-Type", "text/event-stream"), ("Connection", "close"), length=False)
    return [head, *(event(message, number) for number, message in enumerate(messages))]


@pytest.fixture
def given(attack):
    return attack(open=True, virtual=RULES)


@pytest.fixture
def legacy(given) -> Caller:
    caller = Caller(given.world.url(given.name), given.caller.token, LEGACY)
    caller.initialize()
    assert caller.session
    return caller


def on_get(given, *messages: dict) -> None:
    """What the origin sends on the stream that a client opens with GET."""
    ordinary = given.impostor.mcp
    given.impostor.on["/mcp"] = lambda request: stream(*messages) if request.method == "GET" else ordinary(request)


def read_stream(caller: Caller, **headers: str) -> list[dict]:
    """Every message of the stream, until the origin ends it."""
    sent = {"Accept": "text/event-stream", "Authorization": f"Bearer {caller.token}", "Mcp-Session-Id": caller.session, "MCP-Protocol-Version": LEGACY}
    answer = httpx2.get(caller.url, headers=sent | headers, timeout=20, trust_env=False)
    assert answer.status_code == 200, answer.text
    return messages_of(answer.text)


def messages_of(text: str) -> list[dict]:
    return [json.loads(line[5:]) for line in text.splitlines() if line.startswith("data:") and line[5:].strip()]


def arrived(given, *methods: str) -> list[dict]:
    posts = [asked.message for asked in given.impostor.asked if asked.method == "POST"]
    return [each for each in posts if each.get("method") in methods]


@pytest.mark.parametrize("method", ["resources/subscribe", "resources/unsubscribe"])
def test_a_legacy_client_subscribes_only_to_what_it_may_read(given, legacy, method):
    for uri in (HIDDEN, f"{SHOWN}/../hidden"):
        assert legacy.send(method, uri=uri).error["data"]["reason"] == "resource_not_allowed", uri
    assert arrived(given, method) == []
    assert legacy.send(method, uri=SHOWN).result == {}
    assert [each["params"]["uri"] for each in arrived(given, method)] == [SHOWN]


@pytest.mark.parametrize("uris", [[HIDDEN], [SHOWN, HIDDEN], [HIDDEN, SHOWN]], ids=["hidden", "shown and hidden", "hidden and shown"])
def test_a_modern_client_listens_only_to_what_it_may_read(given, uris):
    listen = {"resourceSubscriptions": uris}
    assert given.caller.send("subscriptions/listen", notifications=listen).error["data"]["reason"] == "resource_not_allowed"
    assert arrived(given, "subscriptions/listen") == []
    given.caller.send("subscriptions/listen", notifications={"resourceSubscriptions": [SHOWN]})
    assert [each["params"]["notifications"]["resourceSubscriptions"] for each in arrived(given, "subscriptions/listen")] == [[SHOWN]]


def test_an_update_of_a_hidden_resource_is_dropped_from_the_stream_of_a_session(given, legacy):
    on_get(given, updated(HIDDEN), updated(SHOWN), {"method": "notifications/resources/updated"}, updated(f"{SHOWN}/../hidden"))
    assert [each["params"] for each in read_stream(legacy)] == [{"uri": SHOWN}]


@pytest.mark.parametrize("era", [LEGACY, MODERN])
def test_an_update_of_a_hidden_resource_is_dropped_from_the_answer_to_a_call(given, legacy, era):
    def answer(request: Asked):
        done = {"id": request.message["id"], "result": {"resultType": "complete", "content": []}}
        return stream(updated(HIDDEN), updated(SHOWN), done)

    ordinary = given.impostor.mcp
    called = lambda request: request.method == "POST" and request.message.get("method") == "tools/call"  # noqa: E731
    given.impostor.on["/mcp"] = lambda request: answer(request) if called(request) else ordinary(request)
    text = (legacy if era == LEGACY else given.caller).call("shown").text
    assert [each["params"] for each in messages_of(text) if "method" in each] == [{"uri": SHOWN}]
    assert any("result" in each for each in messages_of(text))


@pytest.mark.parametrize("method", LISTS)
def test_a_list_that_is_replayed_after_an_event_is_curated(given, legacy, method):
    kind, key, shown, hidden = LISTS[method]
    on_get(given, {"id": 7, "result": {kind: items(method)}})
    (message,) = read_stream(legacy, **{"Last-Event-ID": "7/1"})
    assert [each[key] for each in message["result"][kind]] == [f"{shown}1"]
    asked = [each for each in given.impostor.asked if each.method == "GET"]
    assert [each.headers.get("last-event-id") for each in asked] == ["7/1"]


@pytest.mark.parametrize("era", [LEGACY, MODERN])
@pytest.mark.parametrize("method", LISTS)
def test_every_page_of_a_list_is_curated_and_its_cursor_stays(given, legacy, method, era):
    kind, key, shown, hidden = LISTS[method]

    def answer(request: Asked):
        page = int(request.message.get("params", {}).get("cursor", "page-1")[5:])
        following = {"nextCursor": f"page-{page + 1}"} if page < 3 else {}
        more = {"resultType": "complete", "ttlMs": 0, "cacheScope": "private"} if era == MODERN else {}
        return result(request, {kind: items(method, page), **following, **more})

    ordinary = given.impostor.mcp
    listed = lambda request: request.method == "POST" and request.message.get("method") == method  # noqa: E731
    given.impostor.on["/mcp"] = lambda request: answer(request) if listed(request) else ordinary(request)
    caller = legacy if era == LEGACY else given.caller
    seen, cursor = [], {}
    for _ in range(3):
        page = caller.send(method, **cursor).result
        seen += [each[key] for each in page[kind]]
        cursor = {"cursor": page["nextCursor"]} if "nextCursor" in page else {}
    assert seen == [f"{shown}{page}" for page in (1, 2, 3)]
    assert cursor == {}


def test_a_request_is_cancelled_only_in_the_session_of_its_own_user(given, legacy):
    other = Caller(legacy.url, given.world.oauth(given.name).sign_in(given.world.browser("bob")).access_token, LEGACY)
    other.session = legacy.session
    cancelled = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 3, "reason": "changed my mind"}}
    assert other.post(cancelled).status == 404
    assert arrived(given, "notifications/cancelled") == []
    assert legacy.post(cancelled).status == 202
    assert arrived(given, "notifications/cancelled") == [cancelled]


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "https://localhost.evil.example", "file://"])
def test_a_strangers_page_gets_no_preflight_of_a_route(given, http, origin):
    asked = {"Origin": origin, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization, mcp-session-id"}
    before = len(given.impostor.asked)
    answer = http.options(given.world.url(given.name), headers=asked)
    assert answer.status_code == 403
    assert not [name for name in answer.headers if name.startswith("access-control-")]
    assert len(given.impostor.asked) == before


def test_a_page_on_this_machine_gets_the_preflight_of_a_route_without_credentials(given, http):
    headers = ["authorization", "content-type", "mcp-session-id", "mcp-protocol-version", "mcp-method", "mcp-name", "last-event-id"]
    before = len(given.impostor.asked)
    for method in ("POST", "GET", "DELETE"):
        asked = {"Origin": "http://localhost:6274", "Access-Control-Request-Method": method, "Access-Control-Request-Headers": ", ".join(headers)}
        answer = http.options(given.world.url(given.name), headers=asked)
        assert answer.status_code in (200, 204)
        assert answer.headers["access-control-allow-origin"] == "http://localhost:6274"
        assert "access-control-allow-credentials" not in answer.headers
        assert method in answer.headers["access-control-allow-methods"]
        allowed = answer.headers["access-control-allow-headers"].lower()
        assert [name for name in headers if name not in allowed] == []
    assert len(given.impostor.asked) == before, "a preflight reaches no origin"
