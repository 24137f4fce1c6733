"""Where the gateway goes for others: names that flip between check and use, addresses in disguise (MCP, security best practices,
"Server-Side Request Forgery"). The tenancy gives single addresses of loopback; a trap listens at one that it does not give."""

import base64
import hashlib
from urllib.parse import urlencode

import httpx2
import pytest
from attack import Attack
from impostor import Impostor, raw, reply
from names import Names, asking
from peers import ORIGIN_HOST
from world import World

INSIDE = "127.0.0.66"
GIVEN = [f"127.0.0.{last}/32" for last in (1, 2, 3, 4)]
AS = "/.well-known/oauth-authorization-server"


@pytest.fixture(scope="module")
def names():
    names = Names()
    yield names
    names.close()


@pytest.fixture(scope="module")
def world(folder, names):
    world = World(folder, "open", tenancy=[{"namespaces": ["default"], "everyone": True, "privateNetworks": GIVEN}])
    world.gateway.binary = asking(folder, world.gateway.binary)
    with world:
        yield world


@pytest.fixture
def attack(world):
    made = []

    def make(**given) -> Attack:
        made.append(Attack(world, **given))
        return made[-1]

    yield make
    for each in made:
        each.end()


@pytest.fixture
def impostor():
    impostor = Impostor(ORIGIN_HOST)
    # Each request looks for its address anew.
    impostor.on["/mcp"] = lambda asked: impostor.mcp(asked).replace(b"\r\n", b"\r\nConnection: close\r\n", 1)
    return impostor


@pytest.fixture
def trap(impostor):
    """At the same port of an address that the gateway must not reach."""
    trap = Impostor(INSIDE, impostor.port)
    trap.open = True
    yield trap
    trap.close()
    assert trap.reached == 0, "the gateway went where it must not"


def reasons(given, times: int) -> list[str]:
    answers = [given.caller.call("whoami") for _ in range(times)]
    return [answer.error["data"]["reason"] if "error" in answer.message else "answered" for answer in answers]


def test_the_trap_works_and_names_do_so_that_the_rest_proves_something(attack, names, impostor):
    names.always("fair.attack.test", ORIGIN_HOST)
    given = attack(open=True, impostor=impostor, url=f"http://fair.attack.test:{impostor.port}/mcp")
    assert reasons(given, 2) == ["answered"] * 2
    reached = Impostor(INSIDE)
    httpx2.get(f"{reached.base}/x", trust_env=False)
    assert reached.reached == 1
    reached.close()


def test_a_name_that_flips_with_each_query_never_leads_inside(attack, names, impostor, trap):
    """DNS rebinding: what is dialled is the address that was checked."""
    names.flips("flip.attack.test", ORIGIN_HOST, INSIDE)
    given = attack(open=True, impostor=impostor, url=f"http://flip.attack.test:{impostor.port}/mcp")
    given.caller
    found = reasons(given, 12)
    assert set(found) == {"answered", "upstream_address_refused"}


@pytest.mark.parametrize("order", [(ORIGIN_HOST, INSIDE), (INSIDE, ORIGIN_HOST)], ids=["fair first", "inside first"])
def test_a_name_with_both_addresses_at_once_never_leads_inside(attack, names, impostor, trap, order):
    names.always("both.attack.test", *order)
    given = attack(open=True, impostor=impostor, url=f"http://both.attack.test:{impostor.port}/mcp")
    assert reasons(given, 6) == ["answered"] * 6


@pytest.mark.parametrize(
    "address",
    [
        INSIDE, "::1", f"::ffff:{INSIDE}", "64:ff9b::7f00:42", "64:ff9b:1::7f00:42", "2002:7f00:42::", f"::{INSIDE}",
        "169.254.169.254", "::ffff:169.254.169.254", "fe80::1", "fd00:ec2::254", "0.0.0.0", "::", "10.0.0.1", "100.100.100.200", "255.255.255.255", "224.0.0.1",
    ],
)  # fmt: skip
def test_a_name_for_an_address_inside_is_refused_in_every_disguise(attack, names, impostor, trap, address):
    """Mapped (RFC 4291), NAT64 (RFC 6052), 6to4 (RFC 3056), link-local and the metadata services of clouds."""
    names.always("inside.attack.test", address)
    given = attack(open=True, impostor=impostor, url=f"http://inside.attack.test:{impostor.port}/mcp")
    assert reasons(given, 1) == ["upstream_address_refused"]
    assert given.one_event("mcp.capability", reason="upstream_address_refused")["failure_origin"] == "upstream"


@pytest.mark.parametrize("host", [INSIDE, "2130706498", "0x7f000042", "0177.0.0.102", "127.66", f"[::ffff:{INSIDE}]", "[::ffff:7f00:42]", "[64:ff9b::7f00:42]", "[::1]", "169.254.169.254", "0"])
def test_an_address_inside_that_stands_in_the_url_is_refused_in_every_spelling(attack, world, impostor, trap, host):
    before = len(world.gateway.events("admin.snapshot"))
    given = attack(open=True, impostor=impostor, url=f"http://{host}:{impostor.port}/mcp")
    snapshot = world.gateway.events("admin.snapshot")[before]
    if snapshot["outcome"] == "success":
        assert reasons(given, 1) == ["upstream_address_refused"]
    else:
        assert snapshot["reason"] == "invalid_manifests"


def test_an_authorization_server_whose_name_flips_never_leads_inside(attack, names, impostor, trap):
    names.flips("as.attack.test", ORIGIN_HOST, INSIDE)
    base = f"http://as.attack.test:{impostor.port}"
    given = attack(impostor=impostor)
    impostor.issuer = base
    endpoints = {"token_endpoint": f"{base}/token", "registration_endpoint": f"{base}/register"}
    impostor.on[AS] = lambda _: reply({**impostor.server_metadata, **endpoints}, 200, ("Connection", "close"))
    impostor.on["/register"] = lambda _: reply({"client_id": "c", "token_endpoint_auth_method": "none"}, 201, ("Connection", "close"))
    for _ in range(4):
        given.connect()
    assert given.failures()


@pytest.mark.parametrize("place", ["token_endpoint", "registration_endpoint"])
def test_an_endpoint_that_goes_inside_after_it_was_read_gets_nothing(attack, names, impostor, trap, place):
    names.always("moves.attack.test", INSIDE)
    given = attack(impostor=impostor)
    impostor.on[AS] = lambda _: reply({**impostor.server_metadata, place: f"http://moves.attack.test:{impostor.port}/x"})
    assert given.connect().status >= 400
    assert len(given.failures()) == 1


def test_a_refresh_goes_nowhere_once_its_endpoint_has_gone_inside(attack, names, impostor, trap):
    names.always("later.attack.test", ORIGIN_HOST)
    given = attack(impostor=impostor)
    impostor.on[AS] = lambda _: reply({**impostor.server_metadata, "token_endpoint": f"http://later.attack.test:{impostor.port}/token"})
    impostor.on["/token"] = lambda _: reply(impostor.issue(expires_in=1), 200, ("Connection", "close"))
    given.connected()
    names.always("later.attack.test", INSIDE)
    impostor.tokens.clear()
    answer = given.caller.call("whoami")
    assert answer.error["data"]["reason"] == "credential_unavailable"
    assert given.one_event("upstream.refresh", reason="refresh_failed")["outcome"] == "upstream_error"


@pytest.mark.parametrize("name", ["client.attack.test", "flip-client.attack.test"])
def test_a_clients_metadata_document_inside_is_not_fetched(world, names, impostor, trap, name):
    """Client ID metadata documents: anybody can name a URL."""
    names.always("client.attack.test", INSIDE)
    names.flips("flip-client.attack.test", "192.0.2.1", INSIDE)
    challenge = base64.urlsafe_b64encode(hashlib.sha256(b"x" * 43).digest()).rstrip(b"=").decode()
    given = {
        "response_type": "code",
        "client_id": f"https://{name}:{impostor.port}/client.json",
        "redirect_uri": f"https://{name}/callback",
        "code_challenge": challenge,
        "code_challenge_method": "S256",
        "state": "s",
    }
    for _ in range(2):
        answer = httpx2.get(f"{world.gateway.public_url}/mcp/open/oauth/authorize?{urlencode(given)}", trust_env=False, timeout=20)
        assert answer.status_code == 400
        assert INSIDE not in answer.text


@pytest.mark.parametrize("host", [INSIDE, "169.254.169.254", f"[::ffff:{INSIDE}]", "localhost", "2130706498"])
def test_a_clients_metadata_document_at_an_address_is_not_fetched(world, impostor, trap, host):
    query = urlencode({"response_type": "code", "client_id": f"https://{host}:{impostor.port}/client.json", "redirect_uri": "https://x.example/", "code_challenge": "x" * 43, "code_challenge_method": "S256"})  # fmt: skip
    answer = httpx2.get(f"{world.gateway.public_url}/mcp/open/oauth/authorize?{query}", trust_env=False, timeout=20)
    assert answer.status_code == 400


def test_a_redirect_inside_is_not_followed_by_a_call(attack, impostor, trap):
    given = attack(open=True, impostor=impostor)
    given.caller.names()
    for status in (301, 302, 307, 308):
        impostor.on["/mcp"] = lambda _, status=status: raw(status, b"", ("Location", f"{trap.base}/mcp"))
        assert reasons(given, 1) == ["upstream_redirects"]


def test_a_name_server_that_says_nothing_holds_a_call_no_longer_than_its_limit(attack, names, impostor):
    names.silent("silent.attack.test")
    given = attack(open=True, impostor=impostor, url=f"http://silent.attack.test:{impostor.port}/mcp", limits={"requestTimeout": "2s"})
    assert reasons(given, 1)[0] in ("upstream_timeout", "upstream_unreachable")
