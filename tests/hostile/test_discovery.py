"""Origins and authorization servers that lie about themselves: before a person is sent anywhere (MCP basic/authorization, RFC 9728
section 3.3, RFC 8414 section 3.3). Each lie leaves one event and costs nobody a token."""

import socket
import threading

import pytest
from impostor import Impostor, endless, raw, redirect, reply
from sockets import stop_listening

AS = "/.well-known/oauth-authorization-server"
PRM = "/.well-known/oauth-protected-resource/mcp"


@pytest.fixture
def trap():
    """Somebody at an address that the tenancy does not give: whoever connects to it is caught."""
    listener = socket.create_server(("::1", 0), family=socket.AF_INET6)
    caught = []

    def watch():
        while True:
            try:
                caught.append(listener.accept()[1])
            except OSError:
                return

    threading.Thread(target=watch, daemon=True).start()
    yield f"http://[::1]:{listener.getsockname()[1]}"
    stop_listening(listener)
    assert not caught, "the gateway went where it must not"


def refused(given, reason: str, event: str = "upstream.request") -> dict:
    """The person is told, nobody got a code or a token, and there is one event."""
    visit = given.connect()
    assert visit.status >= 400, f"{visit.status} {visit.url}: {visit.page.text}"
    assert visit.url.startswith(given.world.gateway.public_url)
    found = given.one_event(event, reason=reason)
    assert not given.impostor.requests("/token")
    assert given.caller.names() == ["connect_account"]
    return found


@pytest.mark.parametrize(
    "resource",
    ["https://elsewhere.example/mcp", "{base}", "{base}/mcp2", "{base}/MCP", "{base}/mcp/open", "{base}/mcp?x=1", "{base}/mcp#x", "https://{host}/mcp", "{base}@evil.example/mcp", ""],
)
def test_metadata_of_another_resource_is_refused(attack, resource):
    """Advisory class: PRM `resource` unchecked."""
    given = attack()
    stated = resource.format(base=given.impostor.base, host=given.impostor.base.removeprefix("http://"))
    given.impostor.on[PRM] = lambda _: reply({**given.impostor.resource_metadata, "resource": stated})
    refused(given, "discovery_failed")
    assert not given.impostor.requests("/register")


@pytest.mark.parametrize("issuer", ["https://elsewhere.example", "{base}/", "{base}/tenant", "{base}?x", "{base}.evil.example", "HTTP://{host}", ""])
def test_metadata_of_another_issuer_is_refused(attack, issuer):
    given = attack()
    stated = issuer.format(base=given.impostor.base, host=given.impostor.base.removeprefix("http://"))
    given.impostor.on[AS] = lambda _: reply({**given.impostor.server_metadata, "issuer": stated})
    refused(given, "discovery_failed")
    assert not given.impostor.requests("/register")


@pytest.mark.parametrize("methods", [None, [], ["plain"], ["s256"]], ids=str)
def test_a_server_without_s256_is_refused(attack, methods):
    given = attack()
    stated = {**given.impostor.server_metadata, "code_challenge_methods_supported": methods}
    given.impostor.on[AS] = lambda _: reply({key: value for key, value in stated.items() if value is not None})
    refused(given, "discovery_failed")


@pytest.mark.parametrize("endpoint", ["javascript:alert(1)//", "file:///etc/passwd", "data:text/html,x", "ftp://127.0.0.4/", "about:blank", "not a url"])
def test_an_authorization_endpoint_that_would_run_in_the_browser_is_refused(attack, endpoint):
    given = attack()
    given.impostor.on[AS] = lambda _: reply({**given.impostor.server_metadata, "authorization_endpoint": endpoint})
    refused(given, "discovery_failed")
    assert not any(endpoint[:8] in page["url"] for page in given.browser.seen())


def test_an_authorization_endpoint_inside_is_refused(attack, trap):
    for inside in (trap, "http://169.254.169.254/latest", "http://[fe80::1]/", "http://10.0.0.1/"):
        given = attack()
        given.impostor.on[AS] = lambda _, inside=inside, given=given: reply({**given.impostor.server_metadata, "authorization_endpoint": f"{inside}/x"})
        refused(given, "unreachable")


@pytest.mark.parametrize("place", ["challenge", "issuer", "registration_endpoint"])
def test_what_metadata_points_to_inside_is_not_asked(attack, trap, place):
    """Server-side request forgery through discovery (MCP, security best practices; advisory class)."""
    given = attack()
    match place:
        case "challenge":
            given.impostor.on["/mcp"] = lambda _: raw(401, b"", ("WWW-Authenticate", f'Bearer resource_metadata="{trap}/x"'))
        case "issuer":
            given.impostor.on[PRM] = lambda _: reply({**given.impostor.resource_metadata, "authorization_servers": [trap]})
        case _:
            given.impostor.on[AS] = lambda _: reply({**given.impostor.server_metadata, place: f"{trap}/x"})
    assert given.connect().status >= 400
    assert given.one_event("upstream.request", reason="unreachable")["outcome"] == "upstream_error"


def test_a_token_endpoint_inside_gets_no_code(attack, trap):
    given = attack()
    given.impostor.on[AS] = lambda _: reply({**given.impostor.server_metadata, "token_endpoint": f"{trap}/token"})
    assert given.connect().status >= 400
    given.one_event("auth.connected", reason="no_token")


@pytest.mark.parametrize("place", [PRM, AS, "/register", "/token"])
def test_a_redirect_is_not_followed(attack, trap, place):
    given = attack()
    given.impostor.on[place] = lambda _: redirect(f"{trap}/x")
    assert given.connect().status >= 400
    assert len(given.failures()) == 1


@pytest.mark.parametrize("place", [PRM, AS, "/register", "/token"])
def test_a_body_without_an_end_is_read_to_its_limit_alone(attack, place):
    given = attack()
    given.impostor.on[place] = lambda _: endless(b'{"padding": "', b"x" * 65_536)
    assert given.connect().status >= 400
    assert given.impostor.sent < 16 * 1024 * 1024, "the connection was read on and on"
    assert len(given.failures()) == 1


@pytest.mark.parametrize("place", [PRM, "/token"])
def test_a_body_that_drips_is_given_up(attack, place):
    given = attack()
    given.impostor.on[place] = lambda _: endless(b"{", b" ", pause=0.2)
    assert given.connect().status >= 400


@pytest.mark.parametrize("headers", [[("X-Padding", "x" * 1_000_000)], [(f"X-{number}", "x") for number in range(500)]], ids=["large", "many"])
@pytest.mark.parametrize("place", ["/mcp", PRM])
def test_headers_without_measure_are_refused(attack, place, headers):
    given = attack()
    given.impostor.on[place] = lambda _: raw(401, b"", *headers)
    visit = given.connect()
    assert visit.status >= 400 or place == PRM
    assert given.caller.names() == ["connect_account"]


@pytest.mark.parametrize(
    "challenge",
    [
        'Bearer resource_metadata="javascript:alert(1)"',
        'Bearer resource_metadata="file:///etc/passwd"',
        'Bearer resource_metadata="//evil.example"',
        'Bearer resource_metadata=""',
        'Bearer resource_metadata="' + "x" * 20_000 + '"',
        'Bearer resource_metadata="http://evil.example@127.0.0.4:1/"',
    ],
    ids=["script", "file", "no scheme", "empty", "long", "user"],
)
def test_a_challenge_that_points_nowhere_is_refused_in_few_words(attack, challenge):
    given = attack()
    given.impostor.on["/mcp"] = lambda _: raw(401, b"", ("WWW-Authenticate", challenge))
    assert given.connect().status >= 400
    assert len(given.one_event("upstream.request")["message"]) <= 1000


@pytest.mark.parametrize(
    "text",
    [
        '{"issuer": "https://evil.example", "issuer": "BASE", REST}',
        '{"issuer": "BASE", "token_endpoint": "https://evil.example/token", REST}',
        '["BASE"]',
        '{"issuer": "BASE", "authorization_endpoint": 7}',
        "<html>",
        "",
        '{"issuer": "BASE", REST} trailing',
    ],
    ids=["issuer twice", "token endpoint twice", "a list", "a number", "a page", "nothing", "something behind it"],
)
def test_metadata_that_two_parsers_could_read_differently_is_refused(attack, text):
    given = attack()
    base = given.impostor.base
    rest = f'"authorization_endpoint": "{base}/authorize", "token_endpoint": "{base}/token", "registration_endpoint": "{base}/register", "code_challenge_methods_supported": ["S256"]'
    given.impostor.on[AS] = lambda _: reply(text.replace("BASE", base).replace("REST", rest).encode())
    refused(given, "discovery_failed")


@pytest.mark.parametrize("answer", [{}, {"client_id": ""}, {"client_id": 7}, {"client_id": "x", "token_endpoint_auth_method": "tls_client_auth"}, {"client_id": "x", "token_endpoint_auth_method": "client_secret_basic"}, []], ids=str)  # fmt: skip
def test_a_registration_that_cannot_be_used_is_refused(attack, answer):
    given = attack()
    given.impostor.on["/register"] = lambda _: reply(answer, 201)
    assert given.connect().status >= 400
    given.one_event("upstream.request")
    assert not given.impostor.requests("/token")


def test_what_a_server_says_of_its_refusal_cannot_run_or_flood(attack):
    given = attack()
    said = "<script>alert(1)</script>\x1b[31m\r\nSet-Cookie: x=y" + "x" * 50_000
    given.impostor.on["/register"] = lambda _: reply({"error": "invalid", "error_description": said}, 400)
    visit = given.connect()
    assert visit.status >= 400
    assert "alert(1)" in visit.page.text, "it is told, as text"
    found = given.one_event("upstream.request", reason="registration_failed")
    assert len(found["message"]) <= 1000
    assert "\x1b" not in found["message"]


def test_an_origin_that_names_a_server_of_somebody_elses_gets_no_token_for_it(attack):
    """The server is asked for a token for this resource, so that it is of no use elsewhere (RFC 8707)."""
    server = Impostor("127.0.0.3")
    given = attack()
    given.impostor.issuer = server.base
    given.connected()
    for asked in (server.requests("/authorize")[0].query, server.requests("/token")[0].form):
        assert asked["resource"] == given.impostor.url
    server.close()
