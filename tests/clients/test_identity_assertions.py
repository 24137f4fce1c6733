"""Clients act for a person without a browser of the gateway's: enterprise-managed authorization (ID-JAG), with the SDKs' own providers.

The person signs in to the assistant at the company's identity provider; that provider vouches for them to the gateway.
"""

from urllib.parse import parse_qs, urlencode, urlsplit

import httpx2
import jwt
import manifests as m
import pytest
from drivers import ClientError
from gateway import HOST
from oauth import NOWHERE
from raw import Caller
from world import World

JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
AT_PROVIDER = {"id": "assistant", "secret": "the-provider-knows-the-assistant-by-this", "redirect": NOWHERE, "elsewhere": "assistant-here"}
SECRET = "the-gateway-knows-the-assistant-by-this"


@pytest.fixture(scope="module")
def world(folder):
    """`open` is finance's; ana is of finance. The TypeScript SDK takes plain http for 127.0.0.1 alone, so the provider is there too."""
    clients = {"workloads": [{"name": "assistant-here", "secretRef": {"name": "assistant", "key": "secret"}}]}
    clients["workloads"].append({"name": "another", "secretRef": {"name": "assistant", "key": "another"}})
    world = World(folder, "open", "json", provider={"host": HOST, "assistant": AT_PROVIDER}, clients=clients)
    world.manifests.put(
        m.gateway(world.gateway.public_url, m.oidc(world.idp.base, idJag={}), clients=clients),
        m.secret("assistant", secret=SECRET, another=f"{SECRET}, another one"),
        m.virtual("open", "open", access="Teams"),
        m.team("finance", {"virtualMcp": "open", "tools": {"include": ["echo", "add"]}}, groups=["finance"]),
    )
    with world:
        yield world


def signed_in(world: World, login: str) -> str:
    """The ID token that the assistant has from the provider for this person."""
    asked = {"response_type": "code", "client_id": AT_PROVIDER["id"], "redirect_uri": NOWHERE, "scope": "openid", "state": "x"}
    visit = world.browser(login).open(f"{world.idp.base}/auth?{urlencode(asked)}")
    assert visit.url.startswith(NOWHERE), f"{visit.status} {visit.url}: {visit.page.text[:400]}"
    code = parse_qs(urlsplit(visit.url).query)["code"][0]
    return at_provider(world, grant_type="authorization_code", code=code, redirect_uri=NOWHERE)["id_token"]


def at_provider(world: World, **form: str) -> dict:
    who = {"client_id": AT_PROVIDER["id"], "client_secret": AT_PROVIDER["secret"]}
    answer = httpx2.post(f"{world.idp.base}/token", data={**who, **form}, trust_env=False)
    assert answer.status_code == 200, answer.text
    return answer.json()


def assertion(world: World, id_token: str, route: str = "open", **changes: str) -> str:
    kinds = {"requested_token_type": "urn:ietf:params:oauth:token-type:id-jag", "subject_token_type": "urn:ietf:params:oauth:token-type:id_token"}
    names = {"audience": world.url(route), "resource": world.url(route)}
    exchange = "urn:ietf:params:oauth:grant-type:token-exchange"
    return at_provider(world, grant_type=exchange, subject_token=id_token, **kinds, **(names | changes))["access_token"]


def show(world: World, made: str, route: str = "open", id: str = "assistant-here", secret: str | None = SECRET, **more: str) -> httpx2.Response:
    form = {"grant_type": JWT_BEARER, "assertion": made, "client_id": id, **({"client_secret": secret} if secret else {}), **more}
    return httpx2.post(f"{world.url(route)}/oauth/token", data=form, trust_env=False)


@pytest.fixture(scope="module")
def ana(world):
    return signed_in(world, "ana")


@pytest.mark.requirement("as.headless.person")
@pytest.mark.parametrize("name", ["typescript-client", "python-mcp"])
def test_an_sdk_acts_for_a_person_whom_the_identity_provider_vouches_for(world, ana, name):
    at = {"idp": world.idp.base, "id": AT_PROVIDER["id"], "secret": AT_PROVIDER["secret"], "idToken": ana}
    client = world.client(name, "open", workload={"id": "assistant-here", "secret": SECRET, "assertion": at})
    try:
        client.connect()
        assert set(client.names()) == {"echo", "add"}
        assert client.text("echo", text="hello") == "hello"
        with pytest.raises(ClientError):
            client.call("slowly", steps=1)
    finally:
        client.stop()
    called = world.gateway.wait_event("mcp.capability", client_id="assistant-here", capability="echo", outcome="success")
    assert called["subject"] == "company:ana"


@pytest.mark.requirement("as.headless.person")
def test_the_person_is_the_same_one_who_signs_in_with_a_browser(world, ana):
    tokens = (show(world, assertion(world, ana)).json()["access_token"], world.oauth("open").sign_in(world.browser("ana")).access_token)
    vouched, signed = (jwt.decode(each, options={"verify_signature": False}) for each in tokens)
    assert vouched["sub"] == signed["sub"]
    assert vouched["client_id"] != signed["client_id"]
    for each in tokens:
        assert set(Caller(world.url("open"), each).names()) == {"echo", "add"}


@pytest.mark.requirement("as.headless.person")
def test_a_person_of_no_team_is_refused_although_the_provider_vouches_for_them(world):
    answer = show(world, assertion(world, signed_in(world, "bob")))
    assert (answer.status_code, answer.json()["error"]) == (400, "access_denied")


@pytest.mark.requirement("as.headless.short", "as.headless.person")
def test_an_assertion_counts_once(world, ana):
    made = assertion(world, ana)
    answer = show(world, made)
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    assert "refresh_token" not in answer.json()
    again = show(world, made)
    assert (again.status_code, again.json()["error"]) == (400, "invalid_grant")
    world.gateway.wait_event("auth.token", reason="assertion_reused")
    assert made not in world.gateway.stdout.read_text() + world.gateway.log()


@pytest.mark.requirement("as.headless.person")
def test_an_assertion_for_another_server_resource_or_client_is_refused(world, ana):
    elsewhere = "https://elsewhere.example/mcp"
    refused = {
        "another server": show(world, assertion(world, ana, audience=elsewhere)),
        "the bare origin": show(world, assertion(world, ana, audience=world.gateway.public_url)),
        "another route's issuer": show(world, assertion(world, ana, audience=world.url("json"))),
        "another resource": show(world, assertion(world, ana, resource=elsewhere)),
        "another client": show(world, assertion(world, ana), id="another", secret=f"{SECRET}, another one"),
    }
    for what, answer in refused.items():
        assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant"), what
    world.gateway.wait_event("auth.token", reason="assertion_mismatch")


@pytest.mark.requirement("as.headless.person")
def test_a_client_that_does_not_authenticate_is_refused_whatever_it_shows(world, ana):
    made = assertion(world, ana)
    for given in ({"secret": None}, {"secret": "wrong"}, {"id": "nobody"}):
        answer = show(world, made, **given)
        assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client"), given
    assert show(world, made).status_code == 200, "none of them has used it up"


@pytest.mark.requirement("as.headless.person")
def test_an_id_token_is_no_assertion(world, ana):
    answer = show(world, ana)
    # It has no type, as tokens of service accounts have none; outside a cluster nobody takes those.
    assert (answer.status_code, answer.json()["error"]) == (400, "unsupported_grant_type")


@pytest.mark.requirement("as.headless.metadata")
def test_a_route_whose_provider_vouches_says_so_in_its_metadata(world):
    document = httpx2.get(f"{world.url('open')}/.well-known/oauth-authorization-server", trust_env=False).json()
    assert JWT_BEARER in document["grant_types_supported"]
