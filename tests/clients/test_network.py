"""What leaves the gateway, and whose word it takes for where a request came from."""

import manifests as m
import pytest
from browser import Browser
from cluster_identity import Authority
from gateway import HOST
from gateway import run as command
from peers import AUTHORIZATION_HOST, ORIGIN_HOST, PROVIDER_HOST, AuthorizationServer, IdentityProvider, Origin, Proxy
from processes import free_port
from world import World


def files(authority: Authority, name: str, *addresses: str) -> dict:
    certificate, key = authority.server(name, *addresses)
    return {"certificate": str(certificate), "key": str(key), "authority": str(authority.file)}


def bundle(name: str, authority: Authority) -> dict:
    return m.secret(name, **{"ca.crt": authority.file.read_text()})


def trusting(name: str) -> dict:
    return {"network": {"caBundleRef": {"name": name, "key": "ca.crt"}}}


# Trust anchors of one origin's, or one identity provider's, own.


@pytest.fixture(scope="module")
def private(folder):
    """Nobody but their own authorities vouches for these servers: one for the identity provider, another for the origins."""
    folder = folder / "private"
    company, team = Authority(folder / "company", "a company"), Authority(folder / "team", "a team")
    world = World(folder)
    world.idp = IdentityProvider(folder, world.gateway.public_url, tls=files(company, "idp", PROVIDER_HOST))
    port = free_port(ORIGIN_HOST)
    authorization = AuthorizationServer(folder, f"https://{ORIGIN_HOST}:{port}/mcp", tls=files(team, "authorization", AUTHORIZATION_HOST))
    accounts = Origin(folder, "accounts", port, issuer=authorization.base, tls=files(team, "accounts", ORIGIN_HOST))
    keyed = Origin(folder, "keyed", key="hush", tls=files(team, "keyed", ORIGIN_HOST))
    world.peers = [world.idp, authorization, accounts, keyed]
    world.origins = {"accounts": accounts, "keyed": keyed}
    key = {"header": {"name": "X-Api-Key", "valueRef": {"name": "key", "key": "value"}}}
    world.manifests.put(
        m.gateway(world.gateway.public_url, m.oidc(world.idp.base, caBundleRef={"name": "company-ca", "key": "ca.crt"})),
        bundle("company-ca", company),
        bundle("team-ca", team),
        m.secret("key", hosts=ORIGIN_HOST, value="hush"),
        m.origin("accounts", accounts.url, m.USER_OAUTH, **trusting("team-ca")),
        m.virtual("accounts", "accounts"),
        # The same server without the bundle, and with another authority's.
        m.origin("distrusted", keyed.url, key),
        m.virtual("distrusted", "distrusted"),
        m.origin("misled", keyed.url, key, **trusting("company-ca")),
        m.virtual("misled", "misled"),
    )
    world.bundles = folder / "both.pem"
    world.bundles.write_text(company.file.read_text() + team.file.read_text())
    with world:
        yield world


def person(world) -> Browser:
    """A browser that trusts both authorities, as a company's machines do."""
    return world.browser("ana", trust=str(world.bundles))


def test_given_a_private_authority_when_its_bundle_is_named_then_sign_in_discovery_token_and_calls_all_trust_it(private):
    caller = private.caller("accounts", person(private))
    assert caller.call("echo", text="over TLS").result["content"][0]["text"] == "over TLS"
    asked = [request["url"].split("?")[0] for request in private.peers[1].requests()]
    assert {"/reg", "/token"} <= set(asked) and any("well-known" in url for url in asked), asked


@pytest.mark.parametrize("route", ["distrusted", "misled"])
def test_given_a_server_that_nobody_trusted_vouches_for_then_nothing_is_sent_to_it(private, route):
    answer = private.caller(route, person(private)).call("echo", text="x")
    assert answer.error["data"]["reason"] == "upstream_unreachable"
    assert private.origins["keyed"].requests() == []
    assert "certificate" in private.gateway.log()


# The proxy through which requests leave.


class Local(Origin):
    """Where a name leads that every machine knows: `localhost`."""

    host = HOST


def proxied(folder, proxy: Proxy, credentials: str = "", **environment) -> World:
    """An origin with TLS, by name, and one without; every way out leads through the proxy."""
    authority = Authority(folder / "authority")
    world = World(folder, "open")
    world.proxy = proxy
    world.origins["secure"] = Local(folder, "secure", tls=files(authority, "secure", HOST))
    world.peers += [world.origins["secure"], proxy]
    admin = world.gateway.admin_port
    world.manifests.put(
        bundle("ca", authority),
        m.origin("secure", f"https://localhost:{world.origins['secure'].port}/mcp", **trusting("ca")),
        m.virtual("secure", "secure"),
        m.origin("ourselves", f"http://{HOST}:{admin}/metrics"),
        m.virtual("ourselves", "ourselves"),
    )
    url = f"http://{credentials}{proxy.host}:{proxy.port}"
    world.gateway.environment = {"HTTPS_PROXY": url, "HTTP_PROXY": url, **environment}
    return world


@pytest.fixture(scope="module")
def through(folder):
    folder = folder / "through"
    with proxied(folder, Proxy(folder, credentials="gateway:let-me-out"), "gateway:let-me-out@") as world:
        yield world


def test_given_an_egress_proxy_then_origins_and_the_identity_provider_are_reached_through_it_by_address(through):
    browser = through.browser()
    for route in ("open", "secure"):
        assert through.caller(route, browser).call("echo", text=route).result["content"][0]["text"] == route
    asked = set(through.proxy.asked())
    plain, secure, idp = through.origins["open"], through.origins["secure"], through.idp
    assert asked == {f"{ORIGIN_HOST}:{plain.port}", f"{HOST}:{secure.port}", f"{PROVIDER_HOST}:{idp.port}"}
    # The name is for TLS and `Host` alone: what the proxy would make of a name has no say in where a request goes.
    hosts = {dict(zip(each["headers"][::2], each["headers"][1::2], strict=True))["host"] for each in secure.requests()}
    assert hosts == {f"localhost:{secure.port}"}
    assert {request["method"] for request in through.proxy.requests()} == {"CONNECT"}


def test_given_an_address_that_is_never_called_then_the_proxy_is_not_asked_for_it_either(through):
    """The gateway's own private listener, in a network that the tenancy allows."""
    answer = through.caller("ourselves").call("echo", text="x")
    assert answer.error["data"]["reason"] == "upstream_address_refused"
    assert f"{HOST}:{through.gateway.admin_port}" not in through.proxy.asked()


def test_given_a_proxy_that_refuses_then_the_call_fails_clearly_and_its_password_is_nowhere(folder):
    folder = folder / "refusing"
    proxy = Proxy(folder, refuse=True)
    with proxied(folder, proxy, "gateway:let-me-out@", NO_PROXY=PROVIDER_HOST) as world:
        answer = world.caller("open").call("echo", text="x")
        assert answer.error["data"]["reason"] == "upstream_unreachable"
        assert "it must allow CONNECT" in world.gateway.log()
        assert "let-me-out" not in world.gateway.log() + world.gateway.stdout.read_text() + answer.text
        # Whom NO_PROXY excepts was asked straight: somebody has signed in.
        assert set(proxy.asked()) == {f"{ORIGIN_HOST}:{world.origins['open'].port}"}


@pytest.mark.parametrize("url", ["https://proxy.example.com", "socks5://gateway:let-me-out@proxy.example.com"])
def test_given_a_proxy_that_cannot_be_used_when_started_then_it_says_how_to_write_one(folder, url, monkeypatch):
    folder = folder / f"unusable-{url.split(':')[0]}"
    manifests = m.Folder(folder / "manifests", m.gateway("http://127.0.0.1:1", m.development({"email": "ana@example.com"})))
    monkeypatch.setenv("HTTPS_PROXY", url)
    listen = ("--listen", f"{HOST}:{free_port(HOST)}", "--admin-listen", f"{HOST}:{free_port(HOST)}")
    ended = command("serve", "--manifests", manifests.path, "--state", folder / "state", *listen)
    assert ended.returncode != 0
    assert "HTTPS_PROXY" in ended.stderr and "use http://host:port" in ended.stderr and "let-me-out" not in ended.stderr


# Whose request it is.


@pytest.fixture(scope="module")
def forwarded(folder):
    with World(folder / "forwarded", "open") as world:
        yield world


STRANGER = "198.51.100.7"


def test_given_a_peer_that_is_not_trusted_when_it_says_whom_it_forwards_for_then_nobody_believes_it(forwarded):
    caller = forwarded.caller("open")
    caller.http.headers["X-Forwarded-For"] = STRANGER
    caller.call("echo", text="x")
    event = forwarded.gateway.wait_event("mcp.capability", capability="echo")
    assert event["client.address"] == HOST
    assert STRANGER not in forwarded.gateway.stdout.read_text()


def test_given_a_trusted_proxy_then_events_name_the_right_most_hop_that_is_not_one(forwarded):
    gateway = m.gateway(forwarded.gateway.public_url, m.oidc(forwarded.idp.base))
    trusting = gateway | {"spec": gateway["spec"] | {"trustedProxies": [f"{HOST}/32", "10.0.0.0/8"]}}
    caller = forwarded.caller("open")
    forwarded.gateway.edited(lambda: forwarded.manifests.put(trusting))
    try:
        caller.http.headers["X-Forwarded-For"] = f"203.0.113.1, {STRANGER}, 10.1.1.1"
        caller.call("add", a=1, b=2)
        assert forwarded.gateway.wait_event("mcp.capability", capability="add")["client.address"] == STRANGER
    finally:
        forwarded.gateway.edited(lambda: forwarded.manifests.put(gateway))


@pytest.mark.parametrize("header", ["X-Forwarded-Host", "X-Original-Host", "Forwarded"])
def test_given_a_forwarded_host_then_it_neither_opens_the_gateway_nor_shows_in_what_it_says(forwarded, header):
    value = f"host={HOST}:{forwarded.gateway.port}" if header == "Forwarded" else f"{HOST}:{forwarded.gateway.port}"
    http = forwarded.caller("open").http
    refused = http.post(forwarded.url("open"), json={}, headers={"Host": "evil.example", header: value})
    assert refused.status_code == 403
    shown = http.post(forwarded.url("open"), json={}, headers={header: value.replace(HOST, "evil.example")})
    assert shown.status_code == 401 and "evil.example" not in shown.headers["www-authenticate"] + shown.text


def test_given_one_address_that_registers_too_much_then_another_one_still_can(forwarded):
    gateway = m.gateway(forwarded.gateway.public_url, m.oidc(forwarded.idp.base))
    forwarded.gateway.edited(lambda: forwarded.manifests.put(gateway | {"spec": gateway["spec"] | {"trustedProxies": [f"{HOST}/32"]}}))
    try:
        oauth = forwarded.oauth("open")
        metadata = {"client_name": "many", "redirect_uris": ["http://127.0.0.1:9/callback"], "token_endpoint_auth_method": "none"}

        def register(address: str) -> int:
            return oauth.http.post(oauth.server["registration_endpoint"], json=metadata, headers={"X-Forwarded-For": address}).status_code

        assert 429 in [register(STRANGER) for _ in range(80)]
        assert register("203.0.113.1") == 201
        assert forwarded.gateway.wait_event("auth.client_registered", status=429)["client.address"] == STRANGER
    finally:
        forwarded.gateway.edited(lambda: forwarded.manifests.put(gateway))
