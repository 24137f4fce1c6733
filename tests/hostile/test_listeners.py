"""The two listeners: what a page, a proxy or a slow client can make of them (MCP basic/transports, "Security Warning")."""


import pytest
from raw import LEGACY
from sockets import Wire

PRIVATE = ["/healthz", "/readyz", "/metrics", "/debug/routes"]


@pytest.mark.parametrize("path", PRIVATE)
@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://localhost:9090", "http://127.0.0.1", ""])
def test_the_private_listener_answers_no_page_of_any_browser(world, http, path, origin):
    answer = http.get(f"http://127.0.0.1:{world.gateway.admin_port}{path}", headers={"Origin": origin})
    assert answer.status_code == 403


@pytest.mark.parametrize("path", PRIVATE)
@pytest.mark.parametrize("host", ["evil.example", "evil.example:{port}", "127.0.0.1.evil.example:{port}", "svc.evil.example", "x.localhost.evil.example"])
def test_the_private_listener_is_known_by_no_name_that_a_stranger_could_own(world, http, path, host):
    """A page whose own name was bound to our address asks its "own" server, so without `Origin` (DNS rebinding)."""
    port = world.gateway.admin_port
    answer = http.get(f"http://127.0.0.1:{port}{path}", headers={"Host": host.format(port=port)})
    assert answer.status_code == 403
    assert "open" not in answer.text


@pytest.mark.parametrize("host", ["127.0.0.1:{port}", "localhost:{port}", "10.1.2.3:9090", "[fd00::1]:9090", "portcullis", "portcullis-admin:9090", "portcullis-admin.mcp.svc", "portcullis-admin.mcp.svc.cluster.local:9090"])  # fmt: skip
def test_the_private_listener_answers_where_operators_and_probes_ask(world, http, host):
    port = world.gateway.admin_port
    assert http.get(f"http://127.0.0.1:{port}/readyz", headers={"Host": host.format(port=port)}).status_code == 200


@pytest.mark.parametrize("path", [*PRIVATE, "/debug", "/debug/pprof", "/metrics/", "/actuator", "/.env", "/state/keys.json"])
def test_the_public_listener_has_nothing_of_the_private_one(http, base, path):
    """Advisory class: metrics or debug on the public port."""
    assert http.get(base + path).status_code == 404


@pytest.mark.parametrize("path", ["/mcp/open", "/mcp/other"])
@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1.evil.example", "http://localhost.evil.example", "file://", "http://user@localhost", "*"])
def test_a_page_of_a_stranger_may_not_talk_to_a_route(http, base, token, unseen, path, origin):
    headers = {"Origin": origin, "Authorization": f"Bearer {token}"}
    answer = http.post(base + path, json={"jsonrpc": "2.0", "id": 1, "method": "ping"}, headers=headers)
    assert answer.status_code == 403
    assert "access-control-allow-origin" not in answer.headers


FORWARDED = {
    "X-Forwarded-Host": "evil.example",
    "X-Forwarded-Proto": "https",
    "X-Forwarded-For": "10.9.8.7",
    "X-Forwarded-Port": "443",
    "X-Forwarded-Prefix": "/evil",
    "X-Original-URL": "/debug/routes",
    "X-Rewrite-URL": "/debug/routes",
    "X-Real-IP": "10.9.8.7",
    "Forwarded": "for=10.9.8.7;host=evil.example;proto=https",
    "X-HTTP-Method-Override": "DELETE",
    "X-Forwarded-User": "bob",
    "X-Forwarded-Email": "bob@example.com",
    "X-Auth-Request-User": "bob",
    "X-User-Id": "bob",
}


@pytest.mark.parametrize("path", ["/.well-known/oauth-protected-resource/mcp/open", "/.well-known/oauth-authorization-server/mcp/open"])
def test_headers_that_only_a_proxy_may_set_change_no_metadata(http, base, path):
    """Advisory class: trusted headers from clients. Nobody is a trusted proxy unless it is said so."""
    plain, forwarded = http.get(base + path), http.get(base + path, headers=FORWARDED)
    assert forwarded.json() == plain.json()
    assert "evil" not in str(forwarded.headers)


def test_headers_that_only_a_proxy_may_set_change_nobodys_identity_and_reach_no_origin(world, base, http, token):
    headers = {**FORWARDED, "Authorization": f"Bearer {token}", "Accept": "application/json, text/event-stream"}
    hello = {"protocolVersion": LEGACY, "capabilities": {}, "clientInfo": {"name": "x", "version": "1"}}
    message = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": hello}
    cursor = world.gateway.cursor()
    assert http.post(f"{base}/mcp/open", json=message, headers=headers).status_code == 200
    assert world.gateway.wait_event("mcp.request", after=cursor, route="open", outcome="success")["subject"].endswith("ana")
    seen = str(world.origins["open"].requests()[-1]).lower()
    for value in ("evil", "10.9.8.7", "bob"):
        assert value not in seen
    without = http.post(f"{base}/mcp/open", json={"jsonrpc": "2.0", "id": 1, "method": "ping"}, headers=FORWARDED)
    assert without.status_code == 401
    assert "evil" not in without.headers["www-authenticate"]


def test_clients_that_send_next_to_nothing_keep_nobody_from_being_served(world, http, base):
    """Slowloris: heads and bodies that never end hold a connection, and no more than that."""
    slow = [Wire("127.0.0.1", world.gateway.port) for _ in range(300)]
    try:
        for number, wire in enumerate(slow):
            wire.send(b"POST /mcp/open HTTP/1.1\r\nHost: x\r\nX-Slow: " if number % 2 else b"GET /")
        for _ in range(5):
            assert http.get(f"{base}/oauth/jwks").status_code == 200
    finally:
        for wire in slow:
            wire.close()


def test_a_body_that_never_comes_is_given_up_while_others_are_served(world, caller, token):
    host = f"127.0.0.1:{world.gateway.port}"
    with Wire("127.0.0.1", world.gateway.port, seconds=20) as wire:
        wire.send(f"POST /mcp/open HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n", b'{"json')
        assert caller.call("echo", text="x").status == 200
        assert wire.reply().status == 408
        assert wire.is_closed()


def test_a_page_cannot_be_framed_scripted_or_sniffed(http, base):
    answer = http.get(base + "/")
    policy = answer.headers["content-security-policy"]
    assert "frame-ancestors 'none'" in policy
    assert "unsafe-inline" not in policy
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("path", ["/<script>alert(1)</script>", "/login/callback?error=<script>alert(1)</script>&state=x", "/mcp/open/oauth/authorize?client_id=<script>alert(1)</script>", "/connect/<script>alert(1)</script>?ticket=x"])
def test_a_page_says_nothing_back_that_could_run(http, base, path):
    answer = http.get(base + path)
    assert answer.status_code >= 400
    assert "<script>" not in answer.text
