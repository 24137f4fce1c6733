"""Messages that belong to no request, have an error status, or are none that MCP defines: what is hidden stays hidden."""

import json
from itertools import count

import pytest
from impostor import raw, reply
from processes import wait_until

CURATED = {"capabilities": {"tools": {"include": ["whoami"]}, "prompts": {"include": ["whoami"]}}}
_ids = count(1_000)


def hidden_list(request_id: int) -> dict:
    tools = [{"name": name, "inputSchema": {"type": "object"}} for name in ("whoami", "delete_everything")]
    prompts = [{"name": "whoami"}, {"name": "hidden_prompt"}]
    return {"jsonrpc": "2.0", "id": request_id, "result": {"tools": tools, "prompts": prompts}}


@pytest.mark.parametrize("method", ["tools/call", "ping", "prompts/list"])
def test_a_list_in_the_stream_of_another_request_is_curated_too(attack, method):
    """A client matches responses by their id, whichever stream they come on."""
    given = attack(open=True, virtual=CURATED)

    def answer(asked):
        done = {"jsonrpc": "2.0", "id": asked.message["id"], "result": {"content": [], "prompts": []}}
        text = "".join(f"data: {json.dumps(each)}\n\n" for each in (hidden_list(next(_ids)), done))
        return raw(200, text.encode(), ("Content-Type", "text/event-stream"))

    given.impostor.answer_method(method, answer)
    said = given.caller.send(method, **({"name": "whoami"} if method == "tools/call" else {}))
    assert '"whoami"' in said.text
    assert "delete_everything" not in said.text
    assert "hidden_prompt" not in said.text


@pytest.mark.parametrize("status", [400, 404, 500])
def test_a_list_with_an_error_status_is_curated_too(attack, status):
    given = attack(open=True, virtual=CURATED)
    given.impostor.answer_method("tools/list", lambda asked: reply(hidden_list(asked.message["id"]), status))
    said = given.caller.send("tools/list")
    assert said.status == status
    assert [each["name"] for each in said.result["tools"]] == ["whoami"]
    given.impostor.answer_method("tools/list", lambda asked: raw(status, b"<p>delete_everything</p>", ("Content-Type", "text/html")))
    said = given.caller.send("tools/list")
    assert said.status == status
    assert said.error["data"]["reason"] == "answer_unreadable"
    assert "delete_everything" not in said.text


@pytest.mark.parametrize("method", ["notifications/x", "notifications/tools/call", "com.example/run", "tools/run"])
def test_a_notification_that_mcp_does_not_define_passes_only_where_nothing_is_hidden(attack, method):
    message = {"jsonrpc": "2.0", "method": method, "params": {"name": "delete_everything"}}
    curated, free = attack(open=True, virtual=CURATED), attack(open=True)
    for given in (curated, free):
        answer = given.legacy().post(message)
        assert answer.status == (403 if given is curated else 202)
    assert not curated.impostor.messages(method)
    assert free.impostor.messages(method) == [message]
    curated.one_event("policy.denied", reason="notification_not_known")


@pytest.mark.parametrize("method", ["cancelled", "progress", "roots/list_changed"])
def test_a_notification_that_mcp_defines_passes_on_a_curated_route(attack, method):
    given = attack(open=True, virtual=CURATED)
    message = {"jsonrpc": "2.0", "method": f"notifications/{method}", "params": {"requestId": 1, "progressToken": 1, "progress": 1}}
    assert given.legacy().post(message).status == 202
    wait_until(lambda: given.impostor.messages(f"notifications/{method}") == [message], what="the notification")
