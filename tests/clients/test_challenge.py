"""What a client meets before and around its first call, byte by byte: challenge, metadata, keys, CORS, authorization requests that are
not in order, messages that are not. The conformance suite looks at none of this: it knows no protected server."""

import base64
import time
from urllib.parse import parse_qs, urlencode, urlsplit, urlunsplit

import httpx2
import jwt
import manifests as m
import pytest
from oauth import NOWHERE, OAuthClient, grant
from raw import LEGACY, MODERN
from world import World

PAGE = "https://a-page.example"
ACCEPT = "application/json, text/event-stream"


@pytest.fixture(scope="module")
def world(folder):
    world = World(folder, "open", tokens={"access": "15m", "refresh": "1h"})
    world.manifests.put(m.virtual("other", "open"))
    with world:
        yield world


@pytest.fixture(scope="module")
def base(world):
    return world.gateway.public_url


@pytest.fixture(scope="module")
def ana(world):
    return world.browser("ana")


@pytest.fixture(scope="module")
def token(world, ana):
    return world.oauth("open").sign_in(ana).access_token


@pytest.fixture(scope="module")
def http():
    with httpx2.Client(timeout=20, trust_env=False) as client:
        yield client


@pytest.fixture
def caller(world, token):
    return world.caller("open", token=token)


@pytest.fixture
def unseen(world):
    """Whatever the test sends, the origin sees nothing of it."""
    before = len(world.origins["open"].requests())
    yield
    assert len(world.origins["open"].requests()) == before


def parameters(challenge: str) -> dict[str, str]:
    scheme, _, rest = challenge.partition(" ")
    assert scheme == "Bearer", challenge
    return {key.strip(): value.strip().strip('"') for key, _, value in (part.partition("=") for part in rest.split(","))}


# The challenge


@pytest.mark.requirement("rs.challenge")
def test_without_a_token_the_challenge_says_where_to_go_and_no_error(http, base, unseen):
    answer = http.post(f"{base}/mcp/open", json={"jsonrpc": "2.0", "id": 1, "method": "ping"}, headers={"Accept": ACCEPT})
    assert answer.status_code == 401
    challenge = parameters(answer.headers["www-authenticate"])
    assert challenge == {"resource_metadata": f"{base}/.well-known/oauth-protected-resource/mcp/open", "scope": "mcp"}


@pytest.mark.requirement("rs.challenge")
@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_every_method_is_challenged(http, base, unseen, method):
    answer = http.request(method, f"{base}/mcp/open", headers={"Accept": "text/event-stream", "Mcp-Session-Id": "any"})
    assert answer.status_code == 401
    assert "error" not in parameters(answer.headers["www-authenticate"])


@pytest.mark.requirement("as.token.forged")
def test_a_bad_token_is_an_invalid_token(http, base, token, unseen):
    head, claims, signature = token.split(".")
    for bad in ("x", "a.b.c", f"{head}.{claims}.{signature[::-1]}", f"{head}.{claims}."):
        answer = http.post(f"{base}/mcp/open", json={}, headers={"Accept": ACCEPT, "Authorization": f"Bearer {bad}"})
        assert answer.status_code == 401
        challenge = parameters(answer.headers["www-authenticate"])
        assert challenge["error"] == "invalid_token"
        assert challenge["resource_metadata"] == f"{base}/.well-known/oauth-protected-resource/mcp/open"


@pytest.mark.requirement("as.token.audience", "advisory.audience")
def test_a_token_of_another_route_is_an_invalid_token(http, base, token, unseen):
    answer = http.post(f"{base}/mcp/other", json={}, headers={"Accept": ACCEPT, "Authorization": f"Bearer {token}"})
    assert answer.status_code == 401
    assert parameters(answer.headers["www-authenticate"])["error"] == "invalid_token"


@pytest.mark.requirement("as.token.query")
def test_a_token_in_the_query_is_no_token(http, base, token, unseen):
    answer = http.post(f"{base}/mcp/open?access_token={token}", json={"jsonrpc": "2.0", "id": 1, "method": "ping"}, headers={"Accept": ACCEPT})
    assert answer.status_code == 401
    assert "error" not in parameters(answer.headers["www-authenticate"])


# Metadata


@pytest.mark.requirement("rs.metadata")
def test_the_protected_resource_is_what_the_user_types(http, base):
    answer = http.get(f"{base}/.well-known/oauth-protected-resource/mcp/open")
    assert answer.status_code == 200
    document = answer.json()
    assert document["resource"] == f"{base}/mcp/open"
    assert document["authorization_servers"][0] == f"{base}/mcp/open"
    assert document["scopes_supported"] == ["mcp"]
    assert document["bearer_methods_supported"] == ["header"]


@pytest.mark.requirement("as.metadata.places")
@pytest.mark.parametrize(
    "path",
    [
        "/.well-known/oauth-authorization-server/mcp/open",
        "/.well-known/openid-configuration/mcp/open",
        "/mcp/open/.well-known/openid-configuration",
        "/mcp/open/.well-known/oauth-authorization-server",
    ],
)
def test_a_route_is_an_issuer_at_every_place_where_clients_look(http, base, path):
    document = http.get(base + path).raise_for_status().json()
    issuer = f"{base}/mcp/open"
    assert document["issuer"] == issuer
    for name in ("authorize", "token", "register", "revoke"):
        field = {"authorize": "authorization", "register": "registration", "revoke": "revocation"}.get(name, name)
        assert document[f"{field}_endpoint"] == f"{issuer}/oauth/{name}"
    check_metadata(document, base, oidc="openid" in path)


@pytest.mark.requirement("as.metadata.places")
@pytest.mark.parametrize("path", ["/.well-known/oauth-authorization-server", "/.well-known/openid-configuration"])
def test_the_bare_origin_is_an_issuer_too(http, base, path):
    document = http.get(base + path).raise_for_status().json()
    assert document["issuer"] == base
    check_metadata(document, base, oidc="openid" in path)


def check_metadata(document: dict, base: str, *, oidc: bool) -> None:
    assert document["jwks_uri"] == f"{base}/oauth/jwks"
    assert document["response_types_supported"] == ["code"]
    assert {"authorization_code", "refresh_token"} <= set(document["grant_types_supported"])
    assert document["code_challenge_methods_supported"] == ["S256"]
    assert "none" in document["token_endpoint_auth_methods_supported"]
    assert document["scopes_supported"] == ["mcp"]
    assert document["client_id_metadata_document_supported"] is True
    assert document["authorization_response_iss_parameter_supported"] is True
    if oidc:
        assert document["subject_types_supported"]
        assert document["id_token_signing_alg_values_supported"]


@pytest.mark.requirement("as.metadata.absent")
def test_a_route_that_is_not_there_has_no_metadata(http, base):
    for path in (
        "/.well-known/oauth-protected-resource/mcp/nothing",
        "/.well-known/oauth-authorization-server/mcp/nothing",
        "/mcp/nothing/.well-known/openid-configuration",
    ):
        assert http.get(base + path).status_code == 404, path


# The token and the keys


@pytest.mark.requirement("as.keys")
def test_the_published_keys_verify_a_token(http, base, world, ana):
    oauth = world.oauth("open")
    issued = oauth.sign_in(ana)
    kind = jwt.get_unverified_header(issued.access_token)
    assert (kind["typ"], kind["alg"]) == ("at+jwt", "EdDSA")
    keys = http.get(f"{base}/oauth/jwks").raise_for_status().json()["keys"]
    assert all("d" not in each for each in keys)
    key = jwt.PyJWK(next(each for each in keys if each["kid"] == kind["kid"]))
    claims = jwt.decode(issued.access_token, key, algorithms=["EdDSA"], audience=f"{base}/mcp/open", issuer=f"{base}/mcp/open")
    assert claims["exp"] - claims["iat"] == issued.expires_in == 900
    assert abs(claims["iat"] - time.time()) < 60
    assert claims["client_id"] == oauth.client["client_id"]
    assert claims["scope"] == "mcp"
    assert claims["sub"]
    assert claims["jti"]
    assert "groups" not in claims
    assert "ana@example.com" not in str(claims)


# Pages of browsers


@pytest.mark.requirement("as.cors")
@pytest.mark.parametrize(
    "path",
    [
        "/.well-known/oauth-protected-resource/mcp/open",
        "/.well-known/oauth-authorization-server/mcp/open",
        "/.well-known/oauth-authorization-server",
        "/oauth/jwks",
    ],
)
def test_any_page_may_read_the_metadata(http, base, path):
    answer = http.get(base + path, headers={"Origin": PAGE})
    assert answer.headers["access-control-allow-origin"] in ("*", PAGE)
    asked = {"Origin": PAGE, "Access-Control-Request-Method": "GET", "Access-Control-Request-Headers": "mcp-protocol-version"}
    check_preflight(http.options(base + path, headers=asked), "GET", "mcp-protocol-version")


@pytest.mark.requirement("as.cors")
@pytest.mark.parametrize("path", ["/mcp/open/oauth/register", "/mcp/open/oauth/token", "/oauth/register", "/oauth/token", "/register"])
def test_any_page_may_register_and_redeem(http, base, path):
    asked = {"Origin": PAGE, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization,content-type"}
    check_preflight(http.options(base + path, headers=asked), "POST", "content-type")
    answer = http.post(base + path, headers={"Origin": PAGE})
    assert 400 <= answer.status_code < 500
    assert answer.headers["access-control-allow-origin"] in ("*", PAGE)


def check_preflight(answer: httpx2.Response, method: str, header: str) -> None:
    assert answer.status_code in (200, 204)
    assert answer.headers["access-control-allow-origin"] in ("*", PAGE)
    assert method in answer.headers["access-control-allow-methods"] or answer.headers["access-control-allow-methods"] == "*"
    assert header in answer.headers["access-control-allow-headers"].lower() or answer.headers["access-control-allow-headers"] == "*"


@pytest.mark.requirement("as.cors")
def test_no_page_may_read_the_authorization_endpoint_or_frame_it(http, world, ana):
    oauth = world.oauth("open")
    answer = http.get(oauth.authorize_url(), headers={"Origin": PAGE})
    assert "access-control-allow-origin" not in answer.headers
    page = http.get(answer.headers["location"], headers={"Origin": PAGE}) if answer.is_redirect else answer
    assert page.status_code == 200
    assert "access-control-allow-origin" not in page.headers
    assert "frame-ancestors 'none'" in page.headers["content-security-policy"]


@pytest.mark.requirement("advisory.host-origin")
def test_a_page_on_this_machine_may_talk_to_a_route_and_a_strangers_may_not(http, base, unseen, token):
    body = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
    near = http.post(f"{base}/mcp/open", json=body, headers={"Accept": ACCEPT, "Origin": "http://localhost:6274"})
    assert near.status_code == 401
    assert near.headers["access-control-allow-origin"] == "http://localhost:6274"
    exposed = near.headers["access-control-expose-headers"].lower()
    assert "www-authenticate" in exposed
    assert "mcp-session-id" in exposed
    # With a token that is good: only the page's origin is wrong. The test below shows that the same request passes from nearby.
    for origin in ("https://evil.example", "null", "http://localhost.evil.example"):
        far = http.post(f"{base}/mcp/open", json=body, headers={"Accept": ACCEPT, "Origin": origin, "Authorization": f"Bearer {token}"})
        assert far.status_code == 403
        assert "access-control-allow-origin" not in far.headers


@pytest.mark.requirement("advisory.host-origin")
def test_a_page_on_this_machine_reaches_the_origin_with_a_token(http, world, base, token):
    params = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "page", "version": "1"}}
    body = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params}
    before = len(world.origins["open"].requests())
    near = http.post(f"{base}/mcp/open", json=body, headers={"Accept": ACCEPT, "Origin": "http://localhost:6274", "Authorization": f"Bearer {token}"})
    assert near.status_code == 200
    assert len(world.origins["open"].requests()) > before


@pytest.mark.requirement("advisory.host-origin")
@pytest.mark.parametrize("path", ["/mcp/open", "/.well-known/oauth-protected-resource/mcp/open", "/oauth/jwks", "/"])
def test_a_foreign_host_is_refused(http, base, token, unseen, path):
    answer = http.get(base + path, headers={"Host": "evil.example", "Authorization": f"Bearer {token}"})
    assert 400 <= answer.status_code < 500
    assert "evil.example" not in answer.text + str(answer.headers)


# Authorization requests that are not in order


def without(url: str, *names: str) -> str:
    parts = urlsplit(url)
    kept = {key: values[0] for key, values in parse_qs(parts.query).items() if key not in names}
    return urlunsplit(parts._replace(query=urlencode(kept)))


def refused(browser, oauth, url: str) -> str:
    """Opens `url`; returns the error with which the browser was sent back to the client."""
    visit = browser.open(url)
    assert visit.url.startswith(oauth.redirect), f"{visit.status} {visit.url}: {visit.page.text[:300]}"
    answer = parse_qs(urlsplit(visit.url).query)
    assert "code" not in answer
    assert answer["state"] == [oauth.state]
    assert answer["iss"] == [oauth.issuer]
    return answer["error"][0]


@pytest.mark.requirement("as.pkce.required")
def test_a_request_without_a_challenge_is_refused(world, ana):
    oauth = world.oauth("open")
    assert refused(ana, oauth, without(oauth.authorize_url(), "code_challenge", "code_challenge_method")) == "invalid_request"
    assert refused(ana, oauth, oauth.authorize_url(code_challenge_method="plain")) == "invalid_request"
    assert refused(ana, oauth, without(oauth.authorize_url(), "code_challenge_method")) == "invalid_request"


@pytest.mark.requirement("as.authorize.response-type")
def test_a_request_for_another_response_is_refused(world, ana):
    oauth = world.oauth("open")
    assert refused(ana, oauth, oauth.authorize_url(response_type="token")) == "unsupported_response_type"


@pytest.mark.requirement("as.resource.mismatch")
def test_a_resource_that_is_not_this_route_is_an_invalid_target(world, ana, base):
    oauth = world.oauth("open")
    assert refused(ana, oauth, oauth.authorize_url(resource=f"{base}/mcp/other")) == "invalid_target"
    assert refused(ana, oauth, oauth.authorize_url(resource="https://elsewhere.example/mcp")) == "invalid_target"
    code = oauth.code(ana)
    answer = oauth.token(
        grant_type="authorization_code", code=code, redirect_uri=oauth.redirect, code_verifier=oauth.verifier, resource=f"{base}/mcp/other"
    )
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_target")


@pytest.mark.requirement("as.resource.default")
def test_a_client_that_names_no_resource_means_its_issuers_route(world, ana, base):
    oauth = world.oauth("open")
    visit = ana.open(without(oauth.authorize_url(), "resource"))
    code = parse_qs(urlsplit(visit.url).query)["code"][0]
    form = {"grant_type": "authorization_code", "code": code, "redirect_uri": oauth.redirect, "code_verifier": oauth.verifier}
    issued = grant(oauth.http.post(oauth.server["token_endpoint"], data={"client_id": oauth.client["client_id"], **form}))
    assert jwt.decode(issued.access_token, options={"verify_signature": False})["aud"] in (f"{base}/mcp/open", [f"{base}/mcp/open"])


@pytest.mark.requirement("as.redirect.page")
@pytest.mark.parametrize(
    "changes",
    [
        {"redirect_uri": "http://127.0.0.1:9/another"},
        {"redirect_uri": "http://127.0.0.1:9/callback/.."},
        {"redirect_uri": "https://evil.example/callback"},
        {"client_id": "nobody-has-registered-this"},
    ],
)
def test_a_wrong_redirect_or_client_gets_a_page_and_is_sent_nowhere(world, ana, base, changes):
    visit = world.oauth("open").visit(ana, **changes)
    assert 400 <= visit.status < 500
    assert visit.url.startswith(base)
    assert visit.page.text


@pytest.mark.requirement("as.client.unknown")
def test_an_unknown_client_is_an_invalid_client_at_the_token_endpoint(world):
    answer = world.oauth("open").token(grant_type="refresh_token", refresh_token="x", client_id="nobody-has-registered-this")
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")


@pytest.mark.requirement("as.token.errors")
def test_an_unknown_grant_type_is_said_to_be_one(world):
    answer = world.oauth("open").token(grant_type="password", username="ana", password="x")
    assert (answer.status_code, answer.json()["error"]) == (400, "unsupported_grant_type")


# Registration, as clients do it

VSCODE = ["https://insiders.vscode.dev/redirect", "https://vscode.dev/redirect", "http://localhost/", "http://127.0.0.1:33418/"]
CURSOR = ["cursor://anysphere.cursor-mcp/oauth/callback", "https://www.cursor.com/agents/mcp/oauth/callback", "http://localhost:8787/callback"]
CLAUDE = ["http://localhost/callback"]


def register(oauth: OAuthClient, redirects: list[str], endpoint: str | None = None, **more) -> httpx2.Response:
    document = {
        "client_name": "a client",
        "redirect_uris": redirects,
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
        "token_endpoint_auth_method": "none",
        **more,
    }
    return oauth.http.post(endpoint or oauth.server["registration_endpoint"], json=document)


@pytest.mark.requirement("as.registration.sets")
@pytest.mark.parametrize(
    ("redirects", "used"),
    [(VSCODE, "http://127.0.0.1:9/"), (VSCODE, "http://localhost:9/"), (CURSOR, CURSOR[0]), (CLAUDE, "http://localhost:9/callback")],
    ids=["VS Code by address", "VS Code by name", "Cursor", "Claude Code"],
)
def test_a_client_registers_its_set_and_signs_in_with_one_of_it(world, ana, redirects, used):
    oauth = world.oauth("open")
    answer = register(oauth, redirects)
    assert answer.status_code == 201, answer.text
    oauth.client, oauth.redirect = answer.json(), used
    assert oauth.client["redirect_uris"] == redirects
    assert not oauth.client["client_id"].startswith("https://")
    assert "client_secret" not in oauth.client
    assert oauth.sign_in(ana).access_token


@pytest.mark.requirement("as.client.secret")
def test_a_client_may_keep_a_secret(world, ana):
    oauth = world.oauth("open")
    answer = register(oauth, [NOWHERE], token_endpoint_auth_method="client_secret_basic")
    assert answer.status_code == 201
    oauth.client = answer.json()
    code = oauth.code(ana)
    form = {"grant_type": "authorization_code", "code": code, "redirect_uri": NOWHERE, "code_verifier": oauth.verifier}
    bare = oauth.token(**form)
    assert (bare.status_code, bare.json()["error"]) == (401, "invalid_client")
    by_secret = oauth.http.post(oauth.server["token_endpoint"], data=form, auth=(oauth.client["client_id"], oauth.client["client_secret"]))
    assert grant(by_secret).access_token


@pytest.mark.requirement("as.registration.root")
def test_an_old_client_registers_at_the_bare_origin(world, base):
    answer = register(world.oauth("open"), [NOWHERE], endpoint=f"{base}/register")
    assert answer.status_code == 201
    assert answer.json()["client_id"]


@pytest.mark.requirement("as.registration.refused")
@pytest.mark.parametrize(
    "redirect", ["http://evil.example/callback", "javascript:alert(1)", "data:text/html,x", "https://good.example/callback#part", "/callback"]
)
def test_a_redirect_that_nobody_should_be_sent_to_is_not_registered(world, redirect):
    answer = register(world.oauth("open"), [redirect])
    assert answer.status_code == 400
    assert answer.json()["error"] in ("invalid_redirect_uri", "invalid_client_metadata")


# Messages that are not in order


def post(caller, body: str, **headers: str) -> httpx2.Response:
    """Sends these very bytes."""
    given = {"Accept": ACCEPT, "Content-Type": "application/json", "Authorization": f"Bearer {caller.token}", **headers}
    return caller.http.post(caller.url, content=body.encode(), headers=given)


META = f'"_meta":{{"io.modelcontextprotocol/protocolVersion":"{MODERN}","io.modelcontextprotocol/clientCapabilities":{{}}}}'
LIST = {"MCP-Protocol-Version": MODERN, "Mcp-Method": "tools/list"}
CALL = {"MCP-Protocol-Version": MODERN, "Mcp-Method": "tools/call", "Mcp-Name": "echo"}


@pytest.mark.requirement("advisory.json-keys")
@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (f'[{{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{{{META}}}}}]', LIST),
        ('[{"jsonrpc":"2.0","id":1,"method":"ping"},{"jsonrpc":"2.0","id":2,"method":"ping"}]', {}),
        (f'{{"jsonrpc":"2.0","id":1,"method":"tools/list","method":"tools/call","params":{{{META}}}}}', LIST),
        (f'{{"jsonrpc":"2.0","id":1,"id":2,"method":"tools/list","params":{{{META}}}}}', LIST),
        (f'{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"echo","name":"delete_issue","arguments":{{"id":"1"}},{META}}}}}', CALL),
        (f'{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"echo","arguments":{{"text":"a","text":"b"}},{META}}}}}', CALL),
        (f'{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"echo","n\\u0061me":"delete_issue",{META}}}}}', CALL),
        (f'{{"jsonrpc":"2.0","id":1,"method":"tools/list","Method":"tools/call","params":{{{META}}}}}', LIST),
        (f'{{"jsonrpc":"2.0","id":1,"METHOD":"tools/list","params":{{{META}}}}}', LIST),
        (f'{{"jsonrpc":"2.0","id":1,"method":"tools/list","Params":{{}},"params":{{{META}}}}}', LIST),
        ('{"jsonrpc":"2.0","id":1,"method":', {}),
        ("", {}),
    ],
    ids=[
        "batch of one", "legacy batch", "method twice", "id twice", "name twice", "argument twice", "name twice, once escaped",
        "Method beside method", "METHOD", "Params beside params", "half a message", "nothing",
    ],
)  # fmt: skip
def test_a_message_that_two_parsers_could_read_differently_is_refused(caller, unseen, body, headers):
    answer = post(caller, body, **headers)
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] in (-32700, -32600)


def modern(method: str, **params) -> dict:
    meta = {"io.modelcontextprotocol/protocolVersion": MODERN, "io.modelcontextprotocol/clientCapabilities": {}}
    return {"jsonrpc": "2.0", "id": 7, "method": method, "params": {**params, "_meta": meta}}


@pytest.mark.requirement("advisory.header-body")
@pytest.mark.parametrize(
    ("message", "headers"),
    [
        (modern("tools/call", name="delete_issue", arguments={"id": "1"}), {"Mcp-Method": "tools/call", "Mcp-Name": "echo"}),
        (modern("tools/call", name="echo", arguments={"text": "x"}), {"Mcp-Method": "tools/list", "Mcp-Name": "echo"}),
        (modern("resources/read", uri="docs://salaries"), {"Mcp-Method": "resources/read", "Mcp-Name": "docs://readme"}),
        (modern("prompts/get", name="greet", arguments={"name": "x"}), {"Mcp-Method": "prompts/get", "Mcp-Name": "farewell"}),
        (modern("tools/list"), {"Mcp-Method": "TOOLS/LIST"}),
    ],
    ids=["another tool", "another method", "another resource", "another prompt", "another case"],
)
def test_a_header_that_says_something_else_than_the_body_is_refused(caller, unseen, message, headers):
    answer = caller.post(message, headers)
    assert answer.status == 400
    assert answer.error["code"] == -32020
    assert answer.message["id"] == 7


def test_a_header_that_comes_twice_is_refused(caller, unseen):
    body = f'{{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{{"name":"echo","arguments":{{"text":"x"}},{META}}}}}'
    twice = [*CALL.items(), ("Mcp-Name", "delete_issue"), ("Accept", ACCEPT), ("Content-Type", "application/json")]
    answer = caller.http.post(caller.url, content=body.encode(), headers=[*twice, ("Authorization", f"Bearer {caller.token}")])
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == -32020


def test_a_header_that_is_missing_is_refused_by_whoever_serves_the_call(caller):
    answer = caller.post(modern("tools/call", name="echo", arguments={"text": "x"}), {"Mcp-Method": "tools/call"})
    assert answer.status == 400
    assert answer.error["code"] == -32020


def test_a_name_in_base64_is_compared_decoded(caller):
    encoded = f"=?base64?{base64.b64encode(b'echo').decode()}?="
    answer = caller.post(modern("tools/call", name="echo", arguments={"text": "x"}), {"Mcp-Method": "tools/call", "Mcp-Name": encoded})
    assert answer.result["content"][0]["text"] == "x"


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_a_session_that_is_not_there_is_a_404(caller, unseen, method):
    headers = {
        "Accept": "text/event-stream",
        "Authorization": f"Bearer {caller.token}",
        "Mcp-Session-Id": "made-up",
        "MCP-Protocol-Version": LEGACY,
    }
    assert caller.http.request(method, caller.url, headers=headers).status_code == 404


def test_a_session_that_was_ended_is_a_404(world, token):
    caller = world.caller("open", token=token, era=LEGACY)
    headers = {"Authorization": f"Bearer {token}", "Mcp-Session-Id": caller.session, "MCP-Protocol-Version": LEGACY}
    assert caller.http.delete(caller.url, headers=headers).status_code in (200, 202, 204)
    assert caller.call("echo", text="x").status == 404


def test_an_answer_of_the_gateway_tells_nothing_of_what_stands_behind_it(http, world, token):
    answer = world.caller("open", token=token, era=LEGACY).initialize()
    for header in ("server", "x-powered-by", "via"):
        assert header not in answer.headers or "uvicorn" not in answer.headers[header]
    assert world.origins["open"].base not in answer.text + str(answer.headers)
