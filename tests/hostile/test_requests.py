"""Requests that two readers could read differently, byte by byte (RFC 9112 section 11.2, advisory classes "header smuggling" and
"header and body disagree")."""

import json

import pytest
from raw import LEGACY, MODERN
from sockets import Wire

HELLO = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {"protocolVersion": LEGACY, "capabilities": {}, "clientInfo": {"name": "x", "version": "1"}}}).encode()


@pytest.fixture
def wire(world):
    with Wire("127.0.0.1", world.gateway.port) as wire:
        yield wire


@pytest.fixture
def head(world, token):
    """The head of a sound request but for its end: what is hostile comes after."""
    host = f"127.0.0.1:{world.gateway.port}"
    return f"POST /mcp/open HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\nAccept: application/json, text/event-stream\r\n"


def get(world, path: str = "/mcp/open", *headers: str) -> str:
    return "\r\n".join([f"GET {path} HTTP/1.1", f"Host: 127.0.0.1:{world.gateway.port}", *headers]) + "\r\n\r\n"


def test_a_sound_request_is_answered_so_that_the_rest_proves_something(wire, head):
    assert wire.send(head, f"Content-Length: {len(HELLO)}\r\n\r\n", HELLO).reply().status == 200


@pytest.mark.parametrize("first", ["Content-Length", "Transfer-Encoding"])
def test_a_request_with_both_lengths_smuggles_no_second_one(world, wire, head, unseen, first):
    """CL.TE and TE.CL: what follows the body is not read as a request, and the connection is closed (RFC 9112 section 6.1)."""
    hidden = f"GET /oauth/jwks HTTP/1.1\r\nHost: 127.0.0.1:{world.gateway.port}\r\n\r\n"
    body = "0\r\n\r\n" + hidden
    lengths = [f"Content-Length: {len(body)}\r\n", "Transfer-Encoding: chunked\r\n"]
    if first == "Transfer-Encoding":
        lengths.reverse()
    replies = wire.send(head, *lengths, "\r\n", body).replies()
    assert [each.status for each in replies] in ([], [400])
    assert b'"keys"' not in wire.received
    assert wire.is_closed()


def test_a_body_in_chunks_is_the_last_of_its_connection(wire, head):
    """hyper takes the chunks and says nothing of a Content-Length beside them, so every such connection ends (RFC 9112 section 6.1)."""
    reply = wire.send(head, "Transfer-Encoding: chunked\r\n\r\n", f"{len(HELLO):x}\r\n", HELLO, "\r\n0\r\n\r\n").reply()
    assert (reply.status, reply.header("connection")) == (200, "close")
    assert wire.is_closed()


@pytest.mark.parametrize(
    "lines",
    [
        "Content-Length: {length}\r\nContent-Length: {more}\r\n",
        "Content-Length: 40, 41\r\n",
        "Content-Length: +40\r\n",
        "Content-Length: -1\r\n",
        "Content-Length: 0x28\r\n",
        "Content-Length: 99999999999999999999999\r\n",
        "Transfer-Encoding: gzip\r\n",
        "Transfer-Encoding: chunked, identity\r\n",
        "Content-Length: 40\r\nTransfer-Encoding : chunked\r\n",
    ],
    ids=["two lengths", "a list of lengths", "a sign", "negative", "hexadecimal", "beyond 64 bits", "not chunked at the end", "chunked, then not", "a blank before the colon"],
)  # fmt: skip
def test_a_length_that_can_be_read_in_two_ways_is_refused(wire, head, unseen, lines):
    replies = wire.send(head, lines, "\r\n", HELLO).replies()
    assert [each.status for each in replies] in ([], [400], [411], [413])
    assert wire.is_closed()


@pytest.mark.parametrize(
    "chunks",
    [
        b"28\n" + HELLO + b"\n0\n\n",
        b"-1\r\n" + HELLO + b"\r\n0\r\n\r\n",
        b"fffffffffffffffff\r\n" + HELLO + b"\r\n0\r\n\r\n",
        b"28\r\n" + HELLO + b"0\r\n\r\n",
        b"1\r\n" + HELLO + b"\r\n0\r\n\r\n",
        b"28;" + b"x" * 40_000 + b"\r\n" + HELLO + b"\r\n0\r\n\r\n",
    ],
    ids=["bare line feeds", "negative", "beyond 64 bits", "no end of the chunk", "shorter than it says", "an extension without end"],
)  # fmt: skip
def test_chunks_that_do_not_add_up_are_refused(wire, head, unseen, chunks):
    replies = wire.send(head, "Transfer-Encoding: chunked\r\n\r\n", chunks).replies()
    assert [each.status for each in replies] in ([], [400])
    assert wire.is_closed()


@pytest.mark.parametrize(
    "line",
    ["X-Folded: one\r\n two\r\n", "X-Nul: a\x00b\r\n", "X-Cr: a\rb\r\n", "X Blank: a\r\n", "X-Blank : a\r\n", ": nameless\r\n", "no colon\r\n", "\x7f: a\r\n", "Authorization\x00: Bearer x\r\n"],
    ids=["folded", "NUL in a value", "CR in a value", "blank in a name", "blank before the colon", "no name", "no colon", "DEL in a name", "NUL in a name"],
)  # fmt: skip
def test_a_header_that_is_none_is_refused(wire, head, unseen, line):
    """RFC 9112 section 5: obs-fold, white space before the colon; RFC 9110 section 5.5: NUL, CR, LF."""
    replies = wire.send(head, line, f"Content-Length: {len(HELLO)}\r\n\r\n", HELLO).replies()
    assert [each.status for each in replies] == [400]
    assert wire.is_closed()


FOLDED = {
    "params with a long s": '{"jsonrpc":"2.0","id":5,"method":"tools/call","params":{"name":"whoami","arguments":{}},"param\u017f":{"name":"delete_everything"}}',
    "params with an escaped long s": '{"jsonrpc":"2.0","id":5,"method":"tools/call","params":{"name":"whoami","arguments":{}},"param\\u017f":{"name":"delete_everything"}}',
    "Name in params": '{"jsonrpc":"2.0","id":5,"method":"tools/call","params":{"name":"whoami","Name":"delete_everything","arguments":{}}}',
    "Name in ref": '{"jsonrpc":"2.0","id":5,"method":"completion/complete","params":{"ref":{"type":"ref/prompt","name":"a","Name":"b"},"argument":{"name":"x","value":""}}}',
    "Type in ref": '{"jsonrpc":"2.0","id":5,"method":"completion/complete","params":{"ref":{"type":"ref/prompt","Type":"ref/resource","name":"a"},"argument":{"name":"x","value":""}}}',
    "taskId": '{"jsonrpc":"2.0","id":5,"method":"tasks/get","params":{"taskId":"a","ta\u017fkId":"b"}}',
    "task": '{"jsonrpc":"2.0","id":5,"method":"tools/call","params":{"name":"whoami","ta\u017f\u212a":{}}}',
    "a request that some decoder takes for a notification": '{"jsonrpc":"2.0","id":1.5,"method":"tools/call","params":{"name":"whoami","arguments":{}}}',
    "a cursor that some decoder takes for a string": '{"jsonrpc":"2.0","id":5,"method":"tools/list","params":{"cursor":7}}',
    "the version in _meta": '{"jsonrpc":"2.0","id":5,"method":"ping","params":{"_meta":{"IO.modelcontextprotocol/protocolVersion":"2026-07-28"}}}',
    "elicitation": '{"jsonrpc":"2.0","id":5,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{"Elicitation":{}},"clientInfo":{"name":"x","version":"1"}}}',
    "the filter of a subscription": '{"jsonrpc":"2.0","id":5,"method":"subscriptions/listen","params":{"notifications":{"resource\u017fListChanged":true}}}',
}


@pytest.mark.requirement("advisory.json-keys")
@pytest.mark.parametrize("how", FOLDED)
def test_a_key_that_a_decoder_takes_for_a_known_one_is_refused(wire, head, unseen, how):
    """Go's encoding/json ignores case as Unicode folds it: U+017F is an s, U+212A a k. Other values come from `tests/differential`."""
    body = FOLDED[how].encode()
    assert wire.send(head, f"Content-Length: {len(body)}\r\n\r\n", body).reply().status == 400


@pytest.mark.requirement("advisory.json-keys")
@pytest.mark.parametrize(
    "lines",
    [
        "Content-Type: application/json; charset=utf-7\r\n",
        "Content-Type: application/json; charset=\"utf-16\"\r\n",
        "Content-Type: application/json; Charset=latin1\r\n",
        "Content-Type: application/json; charset=utf-8; charset=utf-7\r\n",
        "Content-Type: application/json\r\nContent-Type: application/json; charset=utf-7\r\n",
        "Content-Type: application/json\r\nContent-Encoding: gzip\r\n",
        "Content-Type: application/json\r\nContent-Encoding: identity\r\n",
    ],
    ids=["utf-7", "utf-16", "latin1", "two charsets", "two types", "gzip", "identity"],
)
def test_a_body_in_another_encoding_is_refused(world, wire, token, unseen, lines):
    """Express decodes the charset that a request names, so an origin would read another message than the gateway."""
    start = f"POST /mcp/open HTTP/1.1\r\nHost: 127.0.0.1:{world.gateway.port}\r\nAuthorization: Bearer {token}\r\n"
    assert wire.send(start, lines, f"Content-Length: {len(HELLO)}\r\n\r\n", HELLO).reply().status == 415


@pytest.mark.parametrize(
    "hosts",
    [
        [],
        ["evil.example"],
        ["127.0.0.1:{port}", "evil.example"],
        ["evil.example", "127.0.0.1:{port}"],
        ["127.0.0.1:{port}", "127.0.0.1:{port}"],
        ["127.0.0.1:{port}, evil.example"],
        ["user@127.0.0.1:{port}"],
        ["127.0.0.1:{port}.evil.example"],
        ["127.0.0.1"],
        ["localhost:{port}"],
        ["127.0.0.1:{port}/mcp/other"],
        [""],
    ],
    ids=str,
)
def test_a_request_must_name_this_gateway_as_its_host_and_once(world, wire, token, unseen, hosts):
    lines = "".join(f"Host: {host.format(port=world.gateway.port)}\r\n" for host in hosts)
    request = f"POST /mcp/open HTTP/1.1\r\n{lines}Authorization: Bearer {token}\r\nContent-Type: application/json\r\nContent-Length: {len(HELLO)}\r\n\r\n"
    reply = wire.send(request, HELLO).reply()
    assert 400 <= reply.status < 500
    assert b"evil" not in wire.received


def test_a_target_with_a_host_of_its_own_is_held_to_the_same(world, wire, token, unseen):
    """RFC 9112 section 3.2.2: the absolute form counts for more than Host."""
    request = f"POST http://evil.example/mcp/open HTTP/1.1\r\nHost: 127.0.0.1:{world.gateway.port}\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\nContent-Length: {len(HELLO)}\r\n\r\n"
    assert wire.send(request, HELLO).reply().status == 403


@pytest.mark.parametrize(
    "path",
    [
        "/mcp/open%2f..%2fother", "/mcp/a%2f..", "/mcp//open", "//mcp/open", "/MCP/open", "/mcp/OPEN", "/mcp/open/", "/mcp/./open", "/mcp/other/../open",
        "/mcp/open;a=b", "/mcp/open%00", "/mcp/%6fpen", "/mcp/open%20", "/mcp\\open", "/mcp/open/..;/other", "/mcp/", "/mcp/open.", "/mcp/.",
    ],
)  # fmt: skip
def test_a_path_that_is_not_spelled_as_a_route_is_none(world, wire, head, unseen, path):
    request = head.replace("/mcp/open", path, 1)
    replies = wire.send(request, f"Content-Length: {len(HELLO)}\r\n\r\n", HELLO).replies(1)
    assert [each.status for each in replies] in ([400], [404], [405])


@pytest.mark.parametrize("method", ["PUT", "PATCH", "TRACE", "CONNECT", "PROPFIND", "post"])
def test_a_method_that_is_not_the_transports_does_nothing(world, wire, head, unseen, method):
    reply = wire.send(head.replace("POST", method, 1), "\r\n").replies(1)
    assert [each.status for each in reply] in ([400], [403], [405], [501])
    assert b"Authorization" not in wire.received, "TRACE must not echo"


@pytest.mark.parametrize("headers", [["X-Padding: " + "x" * 8_000] * 100, [f"X-{number}: x" for number in range(200)], ["X: " + "x" * 1_000_000]], ids=["large together", "many", "one large"])  # fmt: skip
def test_headers_that_are_too_many_or_too_large_are_refused(world, wire, unseen, headers):
    try:
        wire.send(get(world, "/mcp/open", *headers))
    except ConnectionError:
        pass
    replies = wire.replies(1)
    assert [each.status for each in replies] in ([], [431], [400])
    assert wire.is_closed()


def test_a_body_that_is_too_large_is_refused_whether_it_says_so_or_not(world, head, unseen):
    large, cursor = 5 * 1024 * 1024, world.gateway.cursor()
    with Wire("127.0.0.1", world.gateway.port) as wire:
        assert wire.send(head, f"Content-Length: {large}\r\n\r\n").reply().status == 413
    with Wire("127.0.0.1", world.gateway.port) as wire:
        try:
            wire.send(head, "Transfer-Encoding: chunked\r\n\r\n", *[b"10000\r\n" + b" " * 65_536 + b"\r\n"] * 100)
        except ConnectionError:
            pass
        assert [each.status for each in wire.replies(1)] in ([413], [])
    assert world.gateway.wait_event("policy.denied", after=cursor, reason="request_too_large")["route"] == "open"


@pytest.mark.parametrize("path", ["/mcp/open/oauth/register", "/mcp/open/oauth/token", "/mcp/open/oauth/revoke", "/register"])
def test_a_form_that_is_too_large_is_refused(world, http, base, path):
    answer = http.post(base + path, content=b"x" * 100_000, headers={"Content-Type": "application/x-www-form-urlencoded"})
    assert answer.status_code == 413


@pytest.mark.parametrize("depth", [500, 100_000])
@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}")], ids=["arrays", "objects"])
def test_a_message_that_nests_without_end_is_refused_and_harms_nobody(caller, unseen, depth, opening, closing):
    arguments = opening * depth + "0" + closing * depth
    meta = f'"_meta":{{"io.modelcontextprotocol/protocolVersion":"{MODERN}"}}'
    for body in (
        f'{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"echo","arguments":{arguments},{meta}}}}}',
        f'{{"jsonrpc":"2.0","id":{arguments},"method":"ping"}}',
        f'{{"jsonrpc":"2.0","id":1,"result":{arguments}}}',
        arguments,
    ):
        headers = {"Authorization": f"Bearer {caller.token}", "Content-Type": "application/json"}
        answer = caller.http.post(caller.url, content=body, headers=headers)
        assert answer.status_code == 400, answer.text[:200]


@pytest.mark.parametrize(
    "body",
    [
        b'\xff\xfe{"jsonrpc":"2.0"}',
        b'{"jsonrpc":"2.0","id":1,"method":"ping\xff"}',
        b'{"jsonrpc":"2.0","id":1,"method":"ping"}\x00',
        b'{"jsonrpc":"2.0","id":1,"method":"ping"}{"jsonrpc":"2.0","id":2,"method":"ping"}',
        b'{"jsonrpc":"2.0","id":1e999,"method":"ping"}',
        b'{"jsonrpc":"2.0","id":{"a":1},"method":"ping"}',
        b'{"jsonrpc":"2.0","id":1,"method":"\\ud800"}',
        b'\xef\xbb\xbf{"jsonrpc":"2.0","id":1,"method":"ping"}',
        b'{"jsonrpc":"2.0","id":1,"method":"ping",}',
        b"{'jsonrpc':'2.0','id':1,'method':'ping'}",
        b'{"jsonrpc":"2.0","id":1,"method":"ping","result":{}}',
        b'{"jsonrpc":"2.0","id":NaN,"method":"ping"}',
    ],
    ids=["UTF-16", "not UTF-8", "a NUL after it", "two messages", "an endless number", "an object for an id", "half a surrogate", "a byte order mark", "a comma too many", "quotes of another kind", "a question and an answer", "no number"],
)  # fmt: skip
def test_a_body_that_is_not_one_plain_message_is_refused(caller, unseen, body):
    headers = {"Authorization": f"Bearer {caller.token}", "Content-Type": "application/json"}
    answer = caller.http.post(caller.url, content=body, headers=headers)
    assert answer.status_code == 400
    assert answer.json()["error"]["data"]["reason"] == "malformed_message"


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/json-seq", ""])
def test_a_message_that_does_not_say_that_it_is_json_is_refused(caller, unseen, kind):
    """What a page of a browser may send to anybody without asking first (Fetch, "CORS-safelisted request-header")."""
    answer = caller.http.post(caller.url, content=HELLO, headers={"Authorization": f"Bearer {caller.token}", "Content-Type": kind})
    assert answer.status_code == 415


@pytest.mark.parametrize("headers", [{"Mcp-Name": "delete_issue"}, {"Mcp-Method": "tools/list"}], ids=["another name", "another method"])
def test_a_header_that_disagrees_is_refused_in_a_message_of_the_legacy_era_too(caller, unseen, headers):
    """Whoever stands before the origin may go by the header whatever the body's era."""
    message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "echo", "arguments": {"text": "x"}}}
    answer = caller.post(message, {**headers, "MCP-Protocol-Version": "2025-11-25"})
    assert (answer.status, answer.error["data"]["reason"]) == (400, "header_mismatch")


def test_a_header_name_that_only_looks_alike_reaches_nobody(world, wire, head):
    """`Mcp_Name` becomes `Mcp-Name` behind servers that make environment variables of headers."""
    before = len(world.origins["open"].requests())
    wire.send(head, f"Mcp_Name: delete_issue\r\nX_Forwarded_User: bob\r\nX-Remote-User: bob\r\nContent-Length: {len(HELLO)}\r\n\r\n", HELLO).reply()
    seen = json.dumps(world.origins["open"].requests()[before:]).lower()
    assert seen != "[]"
    for name in ("mcp_name", "x_forwarded_user", "x-remote-user"):
        assert name not in seen
