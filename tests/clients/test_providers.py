"""Several identity providers in one installation, and what they say of people after the sign-in: two real OpenID providers and a site
with OAuth alone; two gateways on one PostgreSQL."""

import json
import time
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import parse_qs, parse_qsl, urlsplit

import httpx2
import jwt
import manifests as m
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from oauth import NOWHERE, grant
from peers import PEOPLE, CustomersProvider, IdentityProvider, PlainOAuth
from portal import Portal
from postgres import Postgres
from processes import wait_until
from replicas import Replica, at, holds_soon, refused_soon
from world import World

ACCESS = 8  # the lifetime of access tokens, in seconds: after as long a provider is asked again
CUSTOMERS = {
    # The same name and address as an employee's: nothing keeps strangers from that.
    "ana": {"email": "ana@example.com", "email_verified": True, "name": "Ana Customer", "groups": ["finance", "platform"]},
    "zoe": {"email": "zoe@shop.example", "email_verified": True, "name": "Zoe Shopper", "groups": []},
}
MEMBERS = {"ana": {"id": 583231, "name": "Ana at the site", "email": "ana@site.example", "groups": ["finance"]}}


@pytest.fixture(scope="module")
def database(folder):
    with Postgres(folder, auth="md5") as database:
        yield database


@pytest.fixture(scope="module")
def world(folder, database):
    world = World(folder, "open", "json")
    public = world.gateway.public_url
    logout = f"{public}/login/backchannel"
    world.idp = IdentityProvider(folder / "employees", public, refresh=True, logout=f"{logout}/company")
    world.customers = CustomersProvider(folder / "customers", public, accounts=CUSTOMERS, refresh=True, logout=f"{logout}/customers")
    world.site = PlainOAuth(folder / "site", public, accounts=MEMBERS)
    world.peers[:1] = [world.idp, world.customers, world.site]
    site = {
        "issuer": world.site.base,
        "userinfoUrl": f"{world.site.base}/user",
        "clientId": "portcullis",
        "clientSecretRef": {"name": "idp", "key": "clientSecret"},
        "scopes": ["read:user"],
        "claims": {"subject": "id", "groups": "orgs"},
    }
    providers = [m.oidc(world.idp.base), m.oidc(world.customers.base, name="customers"), {"name": "site", "oauth": site}]
    world.manifests.put(
        m.gateway(public, *providers, tokens={"access": f"{ACCESS}s"}, admins={"users": ["ana@example.com"], "groups": ["platform"]}),
        m.virtual("json", "json", identityProvider="customers"),
        m.virtual("members", "open", identityProvider="site"),
        m.virtual("guarded", "open", access="Teams"),
        m.team("finance", {"virtualMcp": "guarded"}, {"virtualMcp": "members"}, groups=["finance"]),
    )
    world.gateway = Replica(folder / "one", world.manifests, database.url, port=world.gateway.port)
    with world, world.gateway.another(folder / "two") as world.second:
        yield world


def serves(caller) -> bool:
    return caller.send("tools/list").status == 200


def asked(provider, grant_type: str) -> int:
    """How often the gateway has asked a provider for tokens so."""
    requests = [each for each in provider.requests() if each["url"] == "/token"]
    return sum(dict(parse_qsl(each["body"])).get("grant_type") == grant_type for each in requests)


def due() -> None:
    """Waits until the provider's last word is as old as an access token may get."""
    time.sleep(ACCESS + 0.2)


# Several providers


@pytest.mark.requirement("idp.several")
def test_people_of_each_provider_use_its_routes_and_are_different_people(world):
    for slug, subject in [("open", "company:ana"), ("json", "customers:ana"), ("members", "site:583231")]:
        assert serves(world.caller(slug)), slug
        for event in ("auth.sign_in", "mcp.request"):
            assert world.gateway.wait_event(event, subject=subject)["outcome"] == "success"


@pytest.mark.requirement("idp.several")
def test_a_token_of_one_providers_user_is_refused_on_the_routes_of_the_others(world):
    for slug in ("json", "members"):
        token = world.oauth(slug).sign_in(world.browser()).access_token
        for other in {"open", "json", "members", "guarded"} - {slug}:
            assert world.caller(other, token=token).send("tools/list").status == 401, (slug, other)


@pytest.mark.requirement("idp.several")
def test_somebody_whom_only_the_customers_provider_knows_cannot_sign_in_to_the_employees_route(world):
    browser = world.browser("zoe")
    assert world.oauth("json").sign_in(browser).access_token
    world.gateway.wait_event("auth.sign_in", subject="customers:zoe", outcome="success")
    signed_in = len(world.gateway.events("auth.sign_in", outcome="success"))
    visit = world.oauth("open").visit(browser)
    assert visit.url.startswith(world.idp.base), f"the browser ended at {visit.status} {visit.url}"
    assert len(world.gateway.events("auth.sign_in", outcome="success")) == signed_in


@pytest.mark.requirement("idp.several")
def test_a_customer_with_an_employees_groups_gains_nothing_by_them(world):
    """Teams are about groups, and the customers' provider gives groups of its own; a route takes the people of its own provider alone."""
    browser = world.browser("ana")
    assert world.oauth("json").sign_in(browser)
    portal = Portal(world.gateway.public_url, browser)
    assert [each["subject"] for each in portal.get("/api/me")["people"]] == ["customers:ana"]
    assert portal.ask("GET", "/api/admin/people?q=").status_code == 403
    visit = world.oauth("guarded").visit(browser)
    assert visit.url.startswith(NOWHERE), "whoever goes on is the employee, who signed in there"
    assert {each["subject"] for each in portal.get("/api/me")["people"]} == {"customers:ana", "company:ana"}
    assert portal.ask("GET", "/api/admin/people?q=").status_code == 200


@pytest.mark.requirement("idp.issuer")
def test_an_answer_of_another_provider_ends_no_sign_in(world):
    """Mix-up (RFC 9207): the state is of a sign-in at the employees' provider, the answer comes from the customers'."""
    browser = world.browser("zoe")
    visit = world.oauth("open").visit(browser)
    state = next(
        parse_qs(urlsplit(request["url"]).query)["state"][0] for request in reversed(world.idp.requests()) if request["url"].startswith("/auth?")
    )
    assert visit.url.startswith(world.idp.base)
    before = [asked(provider, "authorization_code") for provider in (world.idp, world.customers)]
    answered = browser.open(f"{world.gateway.public_url}/login/callback?code=stolen&state={state}&iss={world.customers.base}")
    assert answered.status == 502, answered.page.text
    world.gateway.wait_event("auth.sign_in", reason="wrong_issuer", outcome="denied")
    assert [asked(provider, "authorization_code") for provider in (world.idp, world.customers)] == before, "the code went nowhere"


# Renewal


@pytest.mark.requirement("idp.renewal")
def test_what_a_provider_says_at_a_renewal_counts_from_the_next_call_on(world):
    client = world.oauth("guarded")
    given = client.sign_in(world.browser("ana"))
    other = at(world.caller("guarded", token=given.access_token), world.second, "guarded")
    assert serves(other)
    world.idp.lever("accounts", ana={**PEOPLE["ana"], "groups": ["engineering"]})
    try:
        due()
        renewed = grant(client.refresh(given.refresh_token))
        began = time.monotonic()
        caller = world.caller("guarded", token=renewed.access_token)
        assert caller.send("tools/list").status == 403
        elsewhere = at(world.caller("guarded", token=renewed.access_token), world.second, "guarded")
        holds_soon(lambda: elsewhere.send("tools/list").status == 403, began, "the other replica to know")
        world.gateway.wait_event("auth.renewed", subject="company:ana", outcome="success")
    finally:
        world.idp.lever("accounts", ana=PEOPLE["ana"])
    due()
    again = grant(client.refresh(renewed.refresh_token))
    assert serves(world.caller("guarded", token=again.access_token)), "and back"


@pytest.mark.requirement("idp.renewal.once")
def test_many_clients_at_both_replicas_ask_the_provider_once(world):
    browser = world.browser("bob")
    clients = [world.oauth("open") for _ in range(6)]
    grants = [client.sign_in(browser) for client in clients]
    due()
    before = asked(world.idp, "refresh_token")
    for number, client in enumerate(clients):
        replica = world.second if number % 2 else world.gateway
        client.server["token_endpoint"] = replica.own_url("/mcp/open/oauth/token")
        client.http.headers["Host"] = replica.host()
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda pair: pair[0].refresh(pair[1].refresh_token), zip(clients, grants, strict=True)))
    assert [answer.status_code for answer in answers] == [200] * 6

    def renewed() -> list[str]:
        return [event["outcome"] for gateway in (world.gateway, world.second) for event in gateway.events("auth.renewed", subject="company:bob")]

    # A provider that is slow is not waited for: what it says counts once it says it.
    wait_until(renewed, seconds=20, what="the provider's word")
    assert asked(world.idp, "refresh_token") == before + 1
    # The provider takes each of its refresh tokens once: that the next renewal goes through shows that the new one was kept.
    due()
    assert clients[0].refresh(answers[0].json()["refresh_token"]).status_code == 200
    wait_until(lambda: len(renewed()) > 1, seconds=20, what="the provider's second word")
    assert asked(world.idp, "refresh_token") == before + 2
    assert renewed() == ["success"] * 2


@pytest.mark.requirement("idp.renewal.refused")
def test_a_provider_that_refuses_to_renew_ends_the_persons_grants_and_sessions_at_both_replicas(world):
    browser = world.browser("eve")
    here, there = world.oauth("open"), world.oauth("open")
    given = here.sign_in(browser)
    portal = Portal(world.gateway.public_url, browser, at=world.second.own_url(""))
    world.idp.lever("revoke", login="eve", what="grant")
    due()
    # The browser's session goes on, and gives another client a token of this very moment: it does not just expire.
    other = there.sign_in(browser)
    caller = at(world.caller("open", token=other.access_token), world.second, "open")
    assert serves(caller)
    assert portal.get("/api/me")["people"][0]["subject"] == "company:eve"
    began = time.monotonic()
    refused = here.refresh(given.refresh_token)
    assert (refused.status_code, refused.json()["error"]) == (400, "invalid_grant")
    refused_soon(caller, began)
    assert portal.ask("GET", "/api/me").status_code == 401
    assert there.refresh(other.refresh_token).json()["error"] == "invalid_grant"
    event = world.gateway.wait_event("auth.renewed", subject="company:eve", outcome="denied")
    assert event["reason"] == "sign_in_ended"
    revoked = lambda: world.gateway.events("auth.revoked", subject="company:eve", reason="sign_in_ended")  # noqa: E731
    wait_until(lambda: len(revoked()) == 2, what="an event for each client")


@pytest.mark.requirement("idp.renewal.refused")
def test_a_provider_that_is_away_stops_sign_ins_and_nothing_else(world):
    browser = world.browser("zoe")
    client = world.oauth("json")
    given = client.sign_in(browser)
    due()
    world.customers.stop()
    try:
        renewed = grant(client.refresh(given.refresh_token))
        assert serves(world.caller("json", token=renewed.access_token))
        event = world.gateway.wait_event("auth.renewed", subject="customers:zoe", outcome="upstream_error")
        assert event["reason"] == "provider_away"
        assert Portal(world.gateway.public_url, browser).get("/api/me")["people"]
    finally:
        world.customers.start()


@pytest.mark.requirement("idp.oauth")
def test_a_site_without_openid_is_asked_again_too(world):
    client = world.oauth("members")
    given = client.sign_in(world.browser())
    world.site.lever("accounts", ana={**MEMBERS["ana"], "name": "Ana of another name"})
    due()
    renewed = grant(client.refresh(given.refresh_token))
    assert serves(world.caller("members", token=renewed.access_token))
    world.gateway.wait_event("auth.renewed", subject="site:583231", outcome="success")
    world.site.lever("revoke", login="ana", what="grant")
    due()
    assert client.refresh(renewed.refresh_token).json()["error"] == "invalid_grant"


# Back-channel logout


@pytest.mark.requirement("idp.logout")
def test_a_logout_of_one_session_ends_what_was_begun_in_it_and_one_of_the_person_everything(world):
    logouts = lambda: len(world.gateway.events("auth.logged_out", outcome="success"))  # noqa: E731
    laptop, phone, before = world.browser("zoe"), world.browser("zoe"), logouts()
    sessions = []
    for browser in (laptop, phone):
        token = world.oauth("json").sign_in(browser).access_token
        callers = [at(world.caller("json", token=token), replica, "json") for replica in (world.gateway, world.second)]
        assert all(serves(caller) for caller in callers)
        sessions.append((Portal(world.gateway.public_url, browser), callers))
    (of_laptop, on_laptop), (of_phone, on_phone) = sessions
    began = time.monotonic()
    world.customers.lever("logout", login="zoe", session=-2)
    assert on_laptop[0].send("tools/list").status == 401
    refused_soon(on_laptop[1], began)
    assert of_laptop.ask("GET", "/api/me").status_code == 401
    assert serves(on_phone[0]) and of_phone.get("/api/me")["people"][0]["subject"] == "customers:zoe"
    began = time.monotonic()
    world.customers.lever("logout", login="zoe", session=None)
    refused_soon(on_phone[1], began)
    assert of_phone.ask("GET", "/api/me").status_code == 401
    assert world.gateway.wait_event("auth.revoked", reason="by_provider", subject="customers:zoe")
    wait_until(lambda: logouts() == before + 2, what="an event for each logout")


@pytest.mark.requirement("idp.logout")
def test_a_logout_is_the_word_of_its_own_provider_alone(world):
    """The employees' provider logs `ana` out; the customer of that name stays."""
    token = world.oauth("json").sign_in(world.browser("ana")).access_token
    caller = world.caller("json", token=token)
    world.idp.lever("logout", login="ana", session=None)
    assert serves(caller)


@pytest.mark.requirement("idp.logout.answer")
def test_a_forged_logout_is_refused_as_the_specification_says(world):
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    now = int(time.time())
    claims = {
        "iss": world.idp.base, "aud": "portcullis", "sub": "ana", "iat": now, "exp": now + 120, "jti": "forged",
        "events": {"http://schemas.openid.net/event/backchannel-logout": {}},
    }  # fmt: skip
    forged = jwt.encode(claims, key, algorithm="RS256", headers={"typ": "logout+jwt"})
    unsigned = jwt.encode(claims, None, algorithm="none")
    address = f"{world.gateway.public_url}/login/backchannel"
    tried = [("company", forged), ("company", unsigned), ("company", None), ("site", forged), ("nobody", forged)]
    for provider, token in tried:
        form = {} if token is None else {"logout_token": token}
        answer = httpx2.post(f"{address}/{provider}", data=form, trust_env=False)
        assert (answer.status_code, answer.headers["cache-control"]) == (400, "no-store"), (provider, answer.text)
        assert json.loads(answer.text)["error"] == "invalid_request"
    world.gateway.wait_event("auth.logged_out", outcome="denied", reason="assertion_signature")
    assert forged not in world.gateway.stdout.read_text() + world.gateway.log()


@pytest.mark.requirement("idp.offline")
def test_no_token_of_a_providers_is_in_what_the_gateway_writes(world):
    secrets = set()
    for provider in (world.idp, world.customers, world.site):
        for request in provider.requests():
            if request["url"] == "/token" and request["answer"].startswith("{"):
                answer = json.loads(request["answer"])
                secrets |= {answer[name] for name in ("access_token", "refresh_token", "id_token") if name in answer}
    assert len(secrets) > 10
    for gateway in (world.gateway, world.second):
        written = gateway.stdout.read_text() + gateway.log()
        assert not any(secret in written for secret in secrets)
