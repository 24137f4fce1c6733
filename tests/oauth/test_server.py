"""The authorization server, where no other suite has looked: settings, headers that mean nothing, narrowing, what the consent page says."""

import base64
import hashlib
import json
import secrets
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx2
import jwt
import manifests as m
import pytest
from browser import Browser
from oauth import NOWHERE, OAuthClient, grant
from page import Page
from raw import Caller
from world import World

requirement = pytest.mark.requirement
FORGED = {
    "X-Forwarded-Host": "evil.example",
    "X-Forwarded-Proto": "https",
    "X-Forwarded-Prefix": "/evil",
    "X-Original-URL": "/evil",
    "Forwarded": "host=evil.example;proto=https",
}
PLACES = [
    "/.well-known/oauth-protected-resource/mcp/open",
    "/.well-known/oauth-authorization-server/mcp/open",
    "/.well-known/openid-configuration/mcp/open",
    "/mcp/open/.well-known/openid-configuration",
    "/.well-known/oauth-authorization-server",
    "/.well-known/openid-configuration",
]


@pytest.fixture(scope="module")
def world(folder):
    world = World(folder, "open")
    world.manifests.put(m.virtual("other", "open"))
    with world:
        yield world


@pytest.fixture(scope="module")
def base(world):
    return world.gateway.public_url


@pytest.fixture(scope="module")
def http():
    with httpx2.Client(timeout=20, trust_env=False) as client:
        yield client


@pytest.fixture
def ana(world):
    return world.browser("ana")


@pytest.fixture
def client(world):
    return world.oauth("open")


def answer_of(visit) -> dict[str, list[str]]:
    assert visit.url.startswith(NOWHERE), f"{visit.status} {visit.url}: {visit.page.text[:300]}"
    return parse_qs(urlsplit(visit.url).query)


# Metadata


@requirement("as.metadata.issuer", "as.metadata.fields", "as.metadata.openid")
@pytest.mark.parametrize("place", PLACES[1:])
def test_metadata_names_its_issuer_byte_for_byte_and_all_that_clients_need(http, base, place):
    document = http.get(base + place).raise_for_status().json()
    issuer = f"{base}/mcp/open" if "/mcp/open" in place else base
    assert document["issuer"] == issuer
    for field in ("authorization", "token", "registration", "revocation"):
        assert document[f"{field}_endpoint"].startswith(f"{issuer}/")
    assert document["jwks_uri"] == f"{base}/oauth/jwks"
    assert document["response_types_supported"] == ["code"]
    assert document["code_challenge_methods_supported"] == ["S256"]
    assert "none" in document["token_endpoint_auth_methods_supported"]
    assert document["authorization_response_iss_parameter_supported"] is True
    assert document["client_id_metadata_document_supported"] is True
    if "openid" in place:
        assert document["subject_types_supported"]
        assert document["id_token_signing_alg_values_supported"]


@requirement("as.public-url", "advisory.trusted-headers")
@pytest.mark.parametrize("place", PLACES)
def test_no_header_changes_what_the_metadata_says(http, base, place):
    plain = http.get(base + place)
    assert http.get(base + place, headers=FORGED).json() == plain.json()
    assert "evil" not in plain.text


@requirement("as.public-url", "advisory.trusted-headers")
def test_no_header_changes_the_challenge_or_where_a_browser_is_sent(http, base, client):
    challenge = http.post(f"{base}/mcp/open", json={}, headers=FORGED).headers["www-authenticate"]
    assert f'resource_metadata="{base}/' in challenge
    sent = http.get(client.authorize_url(), headers=FORGED)
    assert sent.headers["location"].startswith(f"{base}/consent/")


@requirement("advisory.trusted-headers")
@pytest.mark.parametrize("header", ["X-Forwarded-User", "X-Forwarded-Email", "X-Auth-Request-User", "Remote-User", "X-User-Id", "X-MCP-User"])
def test_a_header_that_names_a_user_lets_nobody_in(http, base, header):
    answer = http.post(f"{base}/mcp/open", json={"jsonrpc": "2.0", "id": 1, "method": "ping"}, headers={header: "ana@example.com"})
    assert answer.status_code == 401


@requirement("as.metadata.honest", "as.client.policy")
def test_what_is_turned_off_is_not_in_the_metadata_and_does_not_work(folder):
    closed = World(folder / "closed", "open", clients={"dynamicRegistration": False, "metadataDocuments": {"allowedHosts": []}})
    with closed, httpx2.Client(timeout=20, trust_env=False) as http:
        base = closed.gateway.public_url
        document = http.get(base + PLACES[1]).raise_for_status().json()
        assert "registration_endpoint" not in document
        assert document["client_id_metadata_document_supported"] is False
        for endpoint in ("/register", "/oauth/register", "/mcp/open/oauth/register"):
            answer = http.post(base + endpoint, json={"redirect_uris": [NOWHERE]})
            assert answer.status_code == 403, endpoint
            assert "client_id" not in answer.json()


# Clients


@requirement("as.registration.persists")
def test_a_registration_survives_a_restart(folder):
    with World(folder / "restarted", "open") as world:
        client = world.oauth("open")
        world.gateway.stop()
        world.gateway.start()
        assert client.sign_in(world.browser()).access_token


# The authorization request


@requirement("as.authorize.repeated")
@pytest.mark.parametrize(
    ("name", "error"),
    [("scope", "invalid_request"), ("code_challenge", "invalid_request"), ("response_type", "invalid_request"), ("resource", "invalid_target")],
)
def test_a_parameter_that_comes_twice_is_refused(ana, client, name, error):
    visit = ana.open(f"{client.authorize_url()}&{urlencode({name: 'other'})}")
    answer = answer_of(visit)
    assert answer["error"] == [error]
    assert answer["iss"] == [client.issuer]


@requirement("as.authorize.repeated", "as.redirect.page")
@pytest.mark.parametrize("name", ["client_id", "redirect_uri"])
def test_who_asks_and_where_the_answer_goes_are_said_once_or_there_is_a_page(ana, client, base, name):
    visit = ana.open(f"{client.authorize_url()}&{urlencode({name: 'http://127.0.0.1:9/other'})}")
    assert visit.url.startswith(base)
    assert 400 <= visit.status < 500


@requirement("as.iss")
def test_success_and_error_name_the_issuer(ana, client):
    good = answer_of(client.visit(ana))
    assert (good["iss"], good["state"]) == ([client.issuer], [client.state])
    assert "code" in good
    bad = answer_of(client.visit(ana, code_challenge_method="plain"))
    assert (bad["iss"], bad["state"]) == ([client.issuer], [client.state])
    assert "code" not in bad


@requirement("as.resource.canonical")
def test_the_resource_may_have_its_host_in_capitals_and_nothing_else_may_differ(ana, client, base):
    scheme, rest = base.split("://")
    assert "code" in answer_of(client.visit(ana, resource=f"{scheme.upper()}://{rest}/mcp/open"))
    for other in (f"{base}/mcp/open/", f"{base}/mcp/OPEN", f"{base}/mcp/open?x=1", f"{base}/mcp/open#x", f"{base}/mcp", base):
        assert answer_of(client.visit(ana, resource=other))["error"] == ["invalid_target"], other


@requirement("as.resource.not-forwarded")
def test_the_identity_provider_hears_nothing_of_the_resource(world, ana, client):
    assert client.sign_in(ana).access_token
    assert any(request["url"].startswith("/auth?") for request in world.idp.requests())
    for request in world.idp.requests():
        assert "resource" not in request["url"] + request["body"]


@requirement("as.refresh.unasked")
@pytest.mark.parametrize("scope", ["mcp", "", "mcp offline_access", "openid profile mcp:tools", "everything"])
def test_any_scope_is_narrowed_and_a_refresh_token_comes_anyhow(ana, client, scope):
    code = answer_of(client.visit(ana, scope=scope))["code"][0]
    issued = client.exchange(code)
    assert issued.raw["scope"] == "mcp"
    assert issued.refresh_token
    assert jwt.decode(issued.access_token, options={"verify_signature": False})["scope"] == "mcp"


# PKCE


def redeem(client: OAuthClient, code: str, **verifier: str) -> httpx2.Response:
    return client.token(grant_type="authorization_code", code=code, redirect_uri=client.redirect, **verifier)


@requirement("as.pkce.verifier", "advisory.pkce-downgrade")
def test_a_code_without_its_verifier_gives_nothing(ana, client):
    code = client.code(ana)
    assert redeem(client, code).json()["error"] == "invalid_request"
    assert redeem(client, code, code_verifier="").json()["error"] == "invalid_request"
    assert redeem(client, code, code_verifier=secrets.token_urlsafe(48)).json()["error"] == "invalid_grant"
    assert redeem(client, code, code_verifier=client.verifier).json()["error"] == "invalid_grant", "the attempt has used the code up"


@requirement("as.pkce.verifier", "advisory.pkce-downgrade")
@pytest.mark.parametrize("length", [1, 42, 129])
def test_a_verifier_of_the_wrong_length_redeems_nothing_although_it_is_the_right_one(ana, client, length):
    verifier = "v" * length
    challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
    code = answer_of(client.visit(ana, code_challenge=challenge))["code"][0]
    assert redeem(client, code, code_verifier=verifier).json()["error"] == "invalid_grant"


@requirement("as.pkce.verifier", "advisory.pkce-downgrade")
def test_the_challenge_itself_is_no_verifier(ana, client):
    url = client.authorize_url()
    challenge = parse_qs(urlsplit(url).query)["code_challenge"][0]
    code = answer_of(ana.open(url))["code"][0]
    assert redeem(client, code, code_verifier=challenge).json()["error"] == "invalid_grant"


@requirement("advisory.pkce-downgrade", "as.pkce.required")
def test_a_client_with_a_secret_needs_a_challenge_too(ana, client):
    registered = client.http.post(
        client.server["registration_endpoint"], json={"redirect_uris": [NOWHERE], "token_endpoint_auth_method": "client_secret_basic"}
    )
    client.client = registered.raise_for_status().json()
    assert answer_of(client.visit(ana, code_challenge=""))["error"] == ["invalid_request"]


# The consent page


def first_page(http, url: str):
    """The page that a browser without any cookie is shown."""
    sent = http.get(url)
    page = http.get(sent.headers["location"])
    assert page.status_code == 200
    return sent, page


@requirement("as.consent.page")
def test_the_page_names_the_client_the_destination_and_the_account(http, world, ana, base):
    local = OAuthClient(world.url("open"), name="Friendly Helper")
    _, page = first_page(http, local.authorize_url())
    assert "Friendly Helper" in page.text
    assert "a program on this computer (127.0.0.1:9)" in page.text
    far = OAuthClient(world.url("open"), redirect="https://app.example/callback", name="Far Helper")
    _, page = first_page(http, far.authorize_url())
    assert "app.example" in page.text
    assert "on this computer" not in page.text
    local.sign_in(ana)
    confirmed = [each for each in ana.seen() if "/consent/" in each["url"] and "ana@example.com" in each["text"]]
    assert confirmed, "the account is named before the client gets its code"


@requirement("as.consent.first", "as.sign-in.state")
def test_before_the_approval_there_is_no_cookie_and_no_state_for_the_identity_provider(http, world, client):
    before = len(world.idp.requests())
    sent, page = first_page(http, client.authorize_url())
    for answer in (sent, page):
        assert "set-cookie" not in answer.headers
        assert world.idp.base not in answer.text + answer.headers.get("location", "")
    assert len(world.idp.requests()) == before


@requirement("as.consent.first", "advisory.consent-binding")
def test_a_consent_that_one_browser_has_begun_is_not_for_another(http, world, client):
    """From the approval on the request belongs to ana's browser. It waits for her to sign in, and bob cannot continue it."""
    bob = world.browser("bob", connect=False)
    world.oauth("other").sign_in(bob)
    with httpx2.Client(trust_env=False) as ana:
        url = ana.get(client.authorize_url()).headers["location"]
        fields = {name: value for name, _, value in Page(ana.get(url).text).forms[0].fields}
        approved = ana.post(url, data={**fields, "decision": "approve"}, headers={"Origin": world.gateway.public_url})
        assert approved.status_code == 200
        for stranger in (bob, world.browser("bob", connect=False)):
            visit = stranger.open(url)
            assert visit.status in (403, 410), f"bob was sent to {visit.url}"
        assert ana.get(url).status_code == 200, "it is still there for ana"


# What belongs to whom


@requirement("advisory.mix-up")
def test_many_people_at_once_are_each_answered_with_what_is_theirs(world, http):
    from concurrent.futures import ThreadPoolExecutor

    callers = {who: world.caller("open", world.browser(who)) for who in ("ana", "bob", "eve")}

    def ask(at: int) -> None:
        who = ("ana", "bob", "eve")[at % 3]
        marker = f"{who}-{at}-{secrets.token_hex(4)}"
        caller = Caller(world.url("open"), callers[who].token)
        assert caller.call("echo", text=marker).result["content"][0]["text"] == marker

    with ThreadPoolExecutor(12) as pool:
        list(pool.map(ask, range(120)))


@requirement("as.token.forged")
def test_a_token_whose_claims_were_changed_is_not_ours(world, ana, client, base):
    head, claims, signature = client.sign_in(ana).access_token.split(".")
    other = json.loads(base64.urlsafe_b64decode(claims + "==")) | {"sub": "bob"}
    forged = base64.urlsafe_b64encode(json.dumps(other).encode()).rstrip(b"=").decode()
    answer = httpx2.post(f"{base}/mcp/open", json={}, headers={"Authorization": f"Bearer {head}.{forged}.{signature}"}, trust_env=False)
    assert answer.status_code == 401
    assert 'error="invalid_token"' in answer.headers["www-authenticate"]
