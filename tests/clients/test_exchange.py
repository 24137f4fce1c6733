"""People's sign-ins as what an origin is used with: exchanged at its authorization server (RFC 8693), and asserted there by the identity
provider (ID-JAG). Nobody connects anything, and the origin knows who calls."""

import json
import threading
from pathlib import Path
from urllib.parse import parse_qsl, quote

import manifests as m
import pytest
from leaks import where
from peers import AUTHORIZATION_HOST, ORIGIN_HOST, PEOPLE, AuthorizationServer, Origin
from processes import free_port
from raw import LEGACY, MODERN, Caller
from world import CLIENT, CLIENT_SECRET, World

TOKEN_EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
ID_TOKEN = "urn:ietf:params:oauth:token-type:id_token"
ID_JAG = "urn:ietf:params:oauth:token-type:id-jag"
GRANTS = {"exchanged": TOKEN_EXCHANGE, "asserted": JWT_BEARER}
ROUTES = list(GRANTS)

AT_PROVIDER = PEOPLE | {
    "dan": {"email": "dan@example.com", "email_verified": True, "name": "Dan Unvouched", "groups": [], "vouched": False},
    "fay": {"email": "fay@example.com", "email_verified": True, "name": "Fay Leaver", "groups": []},
    "gus": {"email": "gus@example.com", "email_verified": True, "name": "Gus Leaver", "groups": []},
}
# The origins' servers know everybody except eve.
AT_ORIGINS = {login: claims for login, claims in AT_PROVIDER.items() if login != "eve"}


class SignInWorld(World):
    """Two origins, `exchanged` and `asserted`, each behind an authorization server of its own that takes the identity provider's word."""

    def __init__(self, folder: Path, *, refresh: bool = True):
        provider = {"accounts": AT_PROVIDER, "refresh": refresh, "elsewhere": CLIENT["id"]}
        super().__init__(folder, tapped=True, provider=provider, tenancy=tenancy(AUTHORIZATION_HOST))
        self.servers: dict[str, AuthorizationServer] = {}
        self.manifests.put(m.secret("client", hosts=AUTHORIZATION_HOST, secret=CLIENT_SECRET))
        self._protected("exchanged", "tokenExchange", audience="orders", subjectTokenType="id_token")
        self._protected("asserted", "idJag")

    def _protected(self, name: str, member: str, **auth: str) -> None:
        port = free_port(ORIGIN_HOST)
        gateway = {
            "client_id": CLIENT["id"], "client_secret": CLIENT_SECRET, "grant_types": [GRANTS[name]],
            "redirect_uris": [], "response_types": [],
        }  # fmt: skip
        word = {"issuer": self.idp.base, "audience": "portcullis"}
        resource = f"http://{ORIGIN_HOST}:{port}/mcp"
        server = AuthorizationServer(self.folder / name, resource, accounts=AT_ORIGINS, clients=[gateway], signIns=word)
        origin = Origin(self.folder, name, port, issuer=server.base)
        self.servers[name], self.origins[name] = server, origin
        self.peers += [server, origin]
        auth = {member: {"issuer": server.base, "client": CLIENT, "scopes": ["read"], **auth}}
        self.manifests.put(m.origin(name, origin.url, auth), m.virtual(name, name))

    def asked(self, route: str) -> list[dict]:
        """What the origin's server was asked for with people's sign-ins."""
        return forms(self.servers[route], GRANTS[route])

    def carried(self, route: str) -> set[str]:
        """The tokens that the origin was called with."""
        sent = (message["headers"].get("authorization") for message in self.origins[route].messages())
        return {each.removeprefix("Bearer ") for each in sent if each}


def tenancy(*hosts: str) -> list[dict]:
    return [{"namespaces": ["default"], "everyone": True, "privateNetworks": m.LOOPBACK, "identityTokenHosts": list(hosts)}]


def forms(provider, grant_type: str) -> list[dict]:
    found = [dict(parse_qsl(request["body"])) for request in provider.requests() if request["url"] == "/token"]
    return [form for form in found if form.get("grant_type") == grant_type]


def given_by(provider) -> set[str]:
    """Every token in an answer of this provider's token endpoint."""
    found = set()
    for request in provider.requests():
        if request["url"] == "/token" and request["answer"].startswith("{"):
            answer = json.loads(request["answer"])
            found |= {answer[name] for name in ("access_token", "refresh_token", "id_token") if name in answer}
    return found


def text(answer) -> str:
    return answer.result["content"][0]["text"]


def all_at_once(calls: list) -> list:
    answers = []
    threads = [threading.Thread(target=lambda call=call: answers.append(call())) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


@pytest.fixture(scope="module")
def world(folder):
    with SignInWorld(folder / "world") as world:
        yield world


# A person who has signed in uses the origin as themselves


@pytest.mark.requirement("client.exchange", "client.id-jag")
@pytest.mark.parametrize("era", [LEGACY, MODERN])
@pytest.mark.parametrize("route", ROUTES)
def test_the_origin_knows_who_calls_and_nobody_had_to_connect_anything(world, route, era):
    for login in ("ana", "bob"):
        caller = world.caller(route, world.browser(login, connect=False), era=era)
        assert "whoami" in caller.names()
        assert text(caller.call("whoami")) == login
    assert world.carried(route) <= given_by(world.servers[route]), "what the origin's own server gave, and nothing else"


@pytest.mark.requirement("client.exchange")
def test_the_sign_in_is_exchanged_for_this_origin_with_the_token_of_the_gateways_own_sign_in(world):
    assert text(world.caller("exchanged", world.browser("ana", connect=False)).call("whoami")) == "ana"
    form = world.asked("exchanged")[-1]
    assert (form["resource"], form["audience"], form["scope"]) == (world.origins["exchanged"].url, "orders", "read")
    assert form["subject_token_type"] == ID_TOKEN
    assert form["subject_token"] in given_by(world.idp)


@pytest.mark.requirement("client.id-jag")
def test_the_provider_asserts_the_person_to_the_origins_server_which_never_sees_the_identity_token(world):
    assert text(world.caller("asserted", world.browser("ana", connect=False)).call("whoami")) == "ana"
    asked = forms(world.idp, TOKEN_EXCHANGE)[-1]
    server = world.servers["asserted"]
    assert (asked["requested_token_type"], asked["subject_token_type"]) == (ID_JAG, ID_TOKEN)
    assert (asked["audience"], asked["resource"]) == (server.base, world.origins["asserted"].url)
    assertions = {form["assertion"] for form in world.asked("asserted")}
    assert assertions <= given_by(world.idp)
    assert where(given_by(world.idp) - assertions, server.received().encode()) == []


@pytest.mark.requirement("client.exchange")
@pytest.mark.parametrize("route", ROUTES)
def test_one_exchange_serves_many_first_calls_all_later_ones_and_the_gateway_that_starts_again(world, route):
    token = world.oauth(route).sign_in(world.browser("fay", connect=False)).access_token
    callers = [world.caller(route, token=token) for _ in range(6)]
    before = len(world.asked(route))
    answers = all_at_once([lambda each=each: each.call("whoami") for each in callers])
    assert [text(answer) for answer in answers] == ["fay"] * 6
    assert text(callers[0].call("whoami")) == "fay"
    world.gateway.stop()
    world.gateway.start()
    assert text(world.caller(route, token=token).call("whoami")) == "fay"
    assert len(world.asked(route)) == before + 1


@pytest.mark.requirement("client.exchange")
@pytest.mark.parametrize("route", ROUTES)
def test_a_token_that_the_origin_takes_no_longer_is_replaced_unseen(world, route):
    caller = world.caller(route, world.browser("ana", connect=False))
    assert text(caller.call("whoami")) == "ana"
    before = len(world.asked(route))
    world.servers[route].lever("revoke", login="ana", what="access")
    assert text(caller.call("whoami")) == "ana"
    assert len(world.asked(route)) == before + 1


# Somebody says no


@pytest.mark.requirement("client.exchange", "client.id-jag")
@pytest.mark.parametrize(("route", "login"), [("exchanged", "eve"), ("asserted", "eve"), ("asserted", "dan")])
def test_a_person_whom_the_origins_server_or_the_provider_refuses_is_told_to_ask_an_administrator(world, route, login):
    """The servers do not know eve; the provider does not vouch for dan."""
    token = world.oauth(route).sign_in(world.browser(login, connect=False)).access_token
    reached, cursor = len(world.origins[route].messages()), world.gateway.cursor()
    callers = [Caller(world.url(route), token, era) for era in (LEGACY, MODERN)]
    for answer in (callers[0].initialize(), callers[1].call("whoami")):
        assert answer.status == 200, "a 401 would have the client sign in again, for nothing"
        assert answer.error["data"]["reason"] == "exchange_refused", answer.text
        assert "administrator" in answer.error["message"]
        assert "http" not in answer.error["message"] and "access_denied" not in answer.error["message"], "whose server says what is for the events"
    for event in ("upstream.refresh", "policy.denied"):
        assert world.gateway.wait_event(event, after=cursor, reason="exchange_refused", subject=f"company:{login}")["outcome"] == "denied"
    assert len(world.origins[route].messages()) == reached


@pytest.mark.requirement("client.exchange.hosts")
def test_a_server_that_the_gateways_owner_has_not_named_is_sent_no_identity_token(world):
    gateway = lambda *hosts: m.gateway(world.gateway.public_url, m.oidc(world.idp.base), tenancy=tenancy(*hosts))  # noqa: E731
    caller = world.caller("exchanged", world.browser("ana", connect=False))
    assert text(caller.call("whoami")) == "ana"
    before = len(world.asked("exchanged"))
    world.gateway.edited(lambda: world.manifests.put(gateway("sts.example.com")))
    try:
        answer = caller.call("whoami")
        assert answer.error["data"]["reason"] == "exchange_refused", answer.text
        refused = world.gateway.wait_event("upstream.refresh", reason="host_not_allowed", subject="company:ana")
        assert "identityTokenHosts" in refused["message"]
        assert len(world.asked("exchanged")) == before
        assert text(world.caller("asserted", world.browser("ana", connect=False)).call("whoami")) == "ana", "that token goes to its provider alone"
    finally:
        world.gateway.edited(lambda: world.manifests.put(gateway(AUTHORIZATION_HOST)))
    assert text(caller.call("whoami")) == "ana"


# The sign-in ends


@pytest.mark.requirement("client.exchange")
@pytest.mark.parametrize("route", ROUTES)
def test_when_the_provider_has_ended_the_sign_in_the_person_is_signed_out_and_another_one_serves(world, route):
    login = {"exchanged": "gus", "asserted": "bob"}[route]
    world.gateway.stop()
    world.gateway.start()  # and so it has no identity token in memory
    browser = world.browser(login, connect=False)
    caller = world.caller(route, browser)
    world.idp.lever("revoke", login=login, what="grant")
    world.servers[route].lever("revoke", login=login, what="access")
    answer = caller.call("whoami")
    assert answer.result["isError"], answer.text
    assert "sign out and in" in text(answer).lower()
    world.gateway.wait_event("mcp.capability", reason="sign_in_needed", subject=f"company:{login}")
    assert world.gateway.wait_event("auth.renewed", subject=f"company:{login}")["reason"] == "sign_in_ended"
    assert caller.call("whoami").status == 401
    assert text(world.caller(route, browser).call("whoami")) == login


@pytest.mark.requirement("client.exchange")
def test_a_provider_that_gives_no_refresh_tokens_leaves_people_to_be_told_that_a_sign_in_is_needed(folder):
    with SignInWorld(folder / "no-refresh", refresh=False) as world:
        for route in ROUTES:
            caller = world.caller(route, world.browser("ana", connect=False))
            assert caller.names() == []
            answer = caller.call("whoami")
            assert answer.result["isError"], answer.text
            assert "sign-in" in text(answer)
            assert "/connect/" not in text(answer)
            event = world.gateway.wait_event("mcp.capability", reason="sign_in_needed", route=route)
            assert event["outcome"] == "denied"
            assert world.asked(route) == []
            assert world.origins[route].messages() == []


# Last: of all that has happened above


@pytest.mark.requirement("client.exchange")
def test_no_client_event_log_or_file_has_a_token_that_came_of_a_sign_in(world):
    secrets = given_by(world.idp).union(*(given_by(server) for server in world.servers.values()), {CLIENT_SECRET, quote(CLIENT_SECRET)})
    assert len(secrets) > 15, "else this could not fail"
    for route in ROUTES:
        assert where(given_by(world.idp), world.origins[route].received().encode()) == []
    for told in (bytes(world.tap.answered), world.gateway.stdout.read_bytes(), world.gateway.log().encode()):
        assert where(secrets, told) == []
    for path in world.gateway.state.rglob("*"):
        assert not path.is_file() or where(secrets, path.read_bytes()) == [], path
