"""Tasks of users who share a credential: an origin cannot tell them apart, so tasks are not available there."""

import json

import pytest
from impostor import raw, result
from processes import wait_until
from raw import LEGACY, MODERN, Caller

EXTENSION = "io.modelcontextprotocol/tasks"
TASK = {"taskId": "task-of-another-user", "status": "working", "createdAt": "2026-07-28T10:00:00Z", "lastUpdatedAt": "2026-07-28T10:00:00Z"}
STARTED = {
    "2025-11-25": {"task": {**TASK, "ttl": 60_000}},
    "extension": {**TASK, "ttlMs": 60_000, "resultType": "task"},
}
METHODS = ["tasks/get", "tasks/list", "tasks/result", "tasks/cancel", "tasks/update"]
DECLARED = {
    "legacy": {"tools": {"listChanged": True}, "tasks": {"list": {}, "cancel": {}, "requests": {"tools": {"call": {}}}}},
    "extension": {"tools": {}, "extensions": {EXTENSION: {}, "com.example/other": {"a": 1}}},
}


def callers(given) -> list[Caller]:
    return [given.caller, given.legacy()]


def in_form(form: str, message: dict) -> bytes:
    text = json.dumps(message).encode()
    match form:
        case "JSON":
            return raw(200, text, ("Content-Type", "application/json"))
        case "chunks":
            parts = b"".join(f"{len(part):x}\r\n".encode() + part + b"\r\n" for part in (text[:20], text[20:]))
            head = raw(200, b"", ("Content-Type", "application/json"), ("Transfer-Encoding", "chunked"), length=False)
            return head + parts + b"0\r\n\r\n"
        case _:
            return raw(200, b"event: message\ndata: " + text + b"\n\n", ("Content-Type", "text/event-stream"))


@pytest.mark.parametrize("method", METHODS)
def test_a_shared_credential_gives_nobody_the_tasks_of_others(attack, method):
    given = attack(open=True)
    for caller in callers(given):
        answer = caller.send(method, taskId=TASK["taskId"])
        assert answer.error["code"] == -32601
        assert answer.error["data"]["reason"] == "tasks_not_available"
        assert answer.status == (404 if caller.era == MODERN else 200)
    assert not given.impostor.messages(method)
    wait_until(lambda: len(given.events("policy.denied", reason="tasks_not_available")) == 2, what="an event of each denial")


@pytest.mark.parametrize("task", [{}, {"ttl": 60_000}, True, ["x"], "x"], ids=json.dumps)
def test_a_call_that_starts_a_task_is_refused_where_the_credential_is_shared(attack, task):
    given = attack(open=True)
    for caller in callers(given):
        answer = caller.send("tools/call", name="whoami", arguments={}, task=task)
        assert answer.error["code"] == -32601
    assert not given.impostor.calls()


def test_a_call_without_a_task_passes_where_the_credential_is_shared(attack):
    """Also one whose client writes `null` for what it leaves out, or has a `task` among its arguments."""
    given = attack(open=True)
    for caller in callers(given):
        assert "content" in caller.send("tools/call", name="whoami", arguments={"task": {"ttl": 1}}, task=None).result
    assert len(given.impostor.calls()) == 2


def test_no_subscription_follows_tasks_where_the_credential_is_shared(attack):
    given = attack(open=True)
    answer = given.caller.send("subscriptions/listen", notifications={"taskIds": [TASK["taskId"]]})
    assert answer.error["code"] == -32601
    assert not given.impostor.messages("subscriptions/listen")


@pytest.mark.parametrize("capabilities", DECLARED)
def test_tasks_are_not_declared_where_the_credential_is_shared(attack, capabilities):
    """Neither by the origin to the client nor by the client to the origin; everything else stays."""
    given = attack(open=True)
    declared = DECLARED[capabilities]
    said = {"protocolVersion": LEGACY, "capabilities": declared, "serverInfo": {"name": "x", "version": "1"}, "instructions": "tasks"}
    given.impostor.answer_method("initialize", lambda asked: result(asked, said))
    expected = {**declared}
    expected.pop("tasks", None)
    if "extensions" in expected:
        expected["extensions"] = {"com.example/other": {"a": 1}}
    caller = Caller(given.caller.url, given.caller.token, LEGACY, capabilities={**declared, "roots": {"listChanged": True}})
    assert caller.initialize().result == {**said, "capabilities": expected}
    (reached,) = given.impostor.messages("initialize")
    assert reached["params"]["capabilities"] == {**expected, "roots": {"listChanged": True}}
    assert reached["params"]["clientInfo"]["name"] == "raw"

    found = {"resultType": "complete", "supportedVersions": [MODERN], "capabilities": declared, "serverInfo": {"name": "x", "version": "1"}}
    given.impostor.answer_method("server/discover", lambda asked: result(asked, found))
    given.caller.capabilities = declared
    assert given.caller.send("server/discover").result == {**found, "capabilities": expected}
    (reached,) = given.impostor.messages("server/discover")
    assert reached["params"]["_meta"]["io.modelcontextprotocol/clientCapabilities"] == expected
    given.caller.call("whoami")
    (reached,) = given.impostor.messages("tools/call")
    assert reached["params"]["_meta"]["io.modelcontextprotocol/clientCapabilities"] == expected


@pytest.mark.parametrize("form", ["JSON", "chunks", "events"])
@pytest.mark.parametrize("revision", STARTED)
def test_a_task_that_nobody_started_is_an_error_of_the_origin(attack, revision, form):
    given = attack(open=True)
    given.impostor.answer_method("tools/call", lambda asked: in_form(form, {"jsonrpc": "2.0", "id": asked.message["id"], "result": STARTED[revision]}))
    for caller in callers(given):
        answer = caller.call("whoami")
        assert TASK["taskId"] not in answer.text
        assert answer.error["data"]["reason"] == "unsolicited_task"
    failed = {"reason": "unsolicited_task", "outcome": "upstream_error", "failure_origin": "upstream"}
    wait_until(lambda: len(given.events("mcp.capability", **failed)) == 2, what="an event of each failure")


@pytest.mark.parametrize("size", [10, 40_000, 200_000])
def test_a_result_in_chunks_passes_whatever_its_size(attack, size):
    """It is read before it is relayed, because it could be a task. This changes nothing in it."""
    given = attack(open=True)
    content = {"content": [{"type": "text", "text": "x" * size}], "structuredContent": {"task": {"taskId": "1"}}}
    given.impostor.answer_method("tools/call", lambda asked: in_form("chunks", {"jsonrpc": "2.0", "id": asked.message["id"], "result": content}))
    assert given.caller.call("whoami").result == content


def test_the_status_of_a_task_is_not_sent_to_users_who_share_a_credential(attack):
    status = {"jsonrpc": "2.0", "method": "notifications/tasks/status", "params": TASK}
    updated = {"jsonrpc": "2.0", "method": "notifications/tasks", "params": TASK}
    other = {"jsonrpc": "2.0", "method": "notifications/message", "params": {"level": "info", "data": "hello"}}

    def call(asked):
        done = {"jsonrpc": "2.0", "id": asked.message["id"], "result": {"content": []}}
        text = "".join(f"data: {json.dumps(each)}\n\n" for each in (status, updated, other, done))
        return raw(200, text.encode(), ("Content-Type", "text/event-stream"))

    given = attack(open=True)
    given.impostor.answer_method("tools/call", call)
    answer = given.caller.call("whoami")
    assert answer.result == {"content": []}
    assert "hello" in answer.text
    assert TASK["taskId"] not in answer.text

    own = attack().connected()
    own.impostor.answer_method("tools/call", lambda asked: call(asked) if asked.bearer else own.impostor.challenge())
    assert own.caller.call("whoami").text.count(TASK["taskId"]) == 2


def test_tasks_pass_unchanged_where_each_user_has_an_account(attack):
    given = attack().connected()
    declared = DECLARED["legacy"] | DECLARED["extension"]
    said = {"protocolVersion": LEGACY, "capabilities": declared, "serverInfo": {"name": "x", "version": "1"}}
    given.impostor.answer_method("initialize", lambda asked: result(asked, said))
    caller = Caller(given.caller.url, given.caller.token, LEGACY, capabilities=declared)
    assert caller.initialize().result["capabilities"] == declared
    assert given.impostor.messages("initialize")[-1]["params"]["capabilities"] == declared
    for revision, answer in STARTED.items():
        given.impostor.answer_method("tools/call", lambda asked, answer=answer: result(asked, answer))
        assert caller.send("tools/call", name="whoami", task={"ttl": 60_000}).result == answer, revision
        assert given.impostor.messages("tools/call")[-1]["params"]["task"] == {"ttl": 60_000}
    for method in METHODS:
        given.impostor.answer_method(method, lambda asked: result(asked, TASK))
        assert caller.send(method, taskId=TASK["taskId"]).result == TASK
        assert given.impostor.messages(method)[-1]["params"]["taskId"] == TASK["taskId"]
