"""The other ways to authenticate to an origin: each has its own place, and nothing of it shows anywhere else."""

import json
import threading
import time
from urllib.parse import parse_qs, quote, urlsplit

import httpx2
import manifests as m
import pytest
from joserfc.jwk import ECKey
from leaks import where
from peers import AUTHORIZATION_HOST, ORIGIN_HOST
from portal import Portal
from raw import LEGACY, MODERN
from world import AWKWARD_KEY, CLIENT_SECRET, World

ERAS = [LEGACY, MODERN]


@pytest.fixture(scope="module")
def queried(folder):
    with World(folder / "queried", "queried", tapped=True) as world:
        yield world


@pytest.fixture
def machine(folder):
    with World(folder / f"machine-{time.monotonic_ns()}", "machine", access_ttl=3) as world:
        yield world


def fetched(world) -> list[dict]:
    """The tokens that were asked for in the gateway's own name."""
    return [r for r in world.authorization.requests() if r["url"] == "/token" and "grant_type=client_credentials" in r["body"]]


# One parameter of the query


@pytest.mark.requirement("client.query")
@pytest.mark.parametrize("era", ERAS)
def test_the_key_in_the_query_reaches_the_origin_with_every_request(queried, era):
    caller = queried.caller("queried", queried.browser("ana"), era=era)
    assert caller.call("echo", text="hello").result["content"][0]["text"] == "hello"
    assert all(request["url"].startswith("/mcp?api_key=") for request in queried.origins["queried"].requests())


@pytest.mark.requirement("client.query")
def test_a_clients_own_parameter_of_that_name_never_reaches_the_origin(queried):
    caller = queried.caller("queried", queried.browser("ana"))
    caller.url += "?api_key=mine&other=1"
    assert caller.call("echo", text="hello").status == 200
    assert not any("mine" in request["url"] or "other" in request["url"] for request in queried.origins["queried"].requests())


@pytest.mark.requirement("client.query")
def test_the_key_in_the_query_is_in_no_answer_event_or_log_and_in_no_file(queried):
    caller = queried.caller("queried", queried.browser("ana"))
    caller.call("whoami")
    queried.gateway.wait_event("mcp.capability", capability="whoami", auth_mode="query_parameter")
    secrets = {AWKWARD_KEY, quote(AWKWARD_KEY), quote(AWKWARD_KEY, safe="")}
    assert where(secrets, queried.origins["queried"].received().encode("latin-1")), "else this could not fail"
    for text in (bytes(queried.tap.answered), queried.gateway.stdout.read_bytes(), queried.gateway.log().encode()):
        assert where(secrets, text) == []
    for path in queried.gateway.state.rglob("*"):
        assert not path.is_file() or where(secrets, path.read_bytes()) == [], path


def test_a_key_that_the_origin_does_not_take_is_an_administrators_to_mend(folder):
    with World(folder / "wrong-key", "queried") as world:
        world.gateway.edited(lambda: world.manifests.put(m.secret("query", hosts=ORIGIN_HOST, value="another-key-altogether")))
        answer = world.caller("queried", world.browser("ana")).call("whoami")
        assert answer.status == 502
        assert answer.error["data"]["reason"] == "credential_rejected"
        assert "another-key-altogether" not in answer.text + world.gateway.stdout.read_text() + world.gateway.log()


# In the gateway's own name


@pytest.mark.requirement("client.credentials")
def test_everybodys_calls_go_out_with_one_token_that_is_nobodys(machine):
    for login in ("ana", "bob"):
        for era in ERAS:
            caller = machine.caller("machine", machine.browser(login, connect=False), era=era)
            assert "whoami" in caller.names()
            assert caller.call("whoami").result["content"][0]["text"] == "nobody"
            if era == MODERN:
                time.sleep(0.1)
    carried = {message["headers"]["authorization"] for message in machine.origins["machine"].messages() if "authorization" in message["headers"]}
    assert {each.removeprefix("Bearer ") for each in carried} <= machine.authorization.tokens()
    assert len(carried) == len(fetched(machine))
    assert all("resource=http" in request["body"] and "scope=read" in request["body"] for request in fetched(machine))
    assert machine.gateway.wait_event("mcp.capability", auth_mode="client_credentials")["outcome"] == "success"
    assert where(machine.authorization.tokens() | {CLIENT_SECRET}, machine.gateway.stdout.read_bytes()) == []
    assert where(machine.authorization.tokens() | {CLIENT_SECRET}, machine.gateway.log().encode()) == []


@pytest.mark.requirement("client.credentials")
def test_a_token_of_the_gateways_own_that_expires_is_replaced_unseen(machine):
    caller = machine.caller("machine", machine.browser("ana"))
    for _ in range(2):
        assert caller.call("whoami").status == 200
        time.sleep(3.5)
    assert caller.call("whoami").status == 200
    assert len(fetched(machine)) == 3


@pytest.mark.requirement("client.credentials")
def test_a_token_of_the_gateways_own_that_is_revoked_is_replaced_once_for_many_calls(folder):
    with World(folder / "machine-revoked", "machine") as world:
        token = world.oauth("machine").sign_in(world.browser("ana")).access_token
        callers = [world.caller("machine", token=token) for _ in range(8)]
        assert callers[0].call("whoami").status == 200
        world.authorization.lever("revoke", client="gateway", what="access")
        answers = []
        threads = [threading.Thread(target=lambda each=each: answers.append(each.call("whoami"))) for each in callers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert [answer.status for answer in answers] == [200] * 8
        assert len(fetched(world)) == 2


def test_a_server_that_refuses_the_gateways_client_is_told_to_the_administrator(folder):
    with World(folder / "machine-refused", "machine") as world:
        world.gateway.edited(lambda: world.manifests.put(m.secret("client", hosts=AUTHORIZATION_HOST, secret="not-the-right-one-at-all")))
        answer = world.caller("machine", world.browser("ana")).call("whoami")
        assert answer.error["data"]["reason"] == "credential_unavailable"
        event = world.gateway.wait_event("upstream.refresh", reason="client_refused")
        assert "administrator" in event["message"]
        assert "not-the-right-one-at-all" not in json.dumps(world.gateway.events()) + world.gateway.log()


# A client with a key


@pytest.mark.requirement("client.registration.key")
def test_a_client_with_a_key_is_known_by_what_it_signs(folder):
    key = ECKey.generate_key("P-256", {"kid": "k1"})
    private = key.as_pem(private=True).decode()
    with World(folder / "signed", "accounts", access_ttl=3, admins={"users": ["bob@example.com"]}) as world:
        registration = {
            "redirect_uris": [administrator(world).get("/api/admin/origins")["origins"][0]["redirect_uri"]],
            "grant_types": ["authorization_code", "refresh_token"],
            "token_endpoint_auth_method": "private_key_jwt",
            "jwks": {"keys": [key.as_dict(private=False)]},
        }
        registered = httpx2.post(f"{world.authorization.base}/reg", json=registration, trust_env=False).raise_for_status().json()
        client = {"id": registered["client_id"], "tokenEndpointAuthMethod": "private_key_jwt", "keyId": "k1"}
        auth = {"userOAuth": {"registration": {"client": client | {"secretRef": {"name": "client", "key": "privateKey"}}}}}
        secret = m.secret("client", hosts=AUTHORIZATION_HOST, privateKey=private)
        world.gateway.edited(lambda: world.manifests.put(secret, m.origin("accounts", world.origins["accounts"].url, auth)))

        browser = world.browser("ana")
        caller = world.caller("accounts", browser)
        assert caller.call("whoami").result["content"][0]["text"] == "ana"
        time.sleep(3.5)
        assert caller.call("whoami").status == 200
        portal = Portal(world.gateway.public_url, browser)
        [mine] = portal.get("/api/connections")["connections"]
        assert portal.ask("DELETE", f"/api/connections/{mine['origin']['id']}").status_code == 204
        assert world.gateway.wait_event("auth.disconnected")["outcome"] == "success", "the server takes it at the revocation endpoint too"

        shown = [parse_qs(request["body"]) for request in world.authorization.requests() if "client_assertion=" in request["body"]]
        assert {form["grant_type"][0] for form in shown if "grant_type" in form} == {"authorization_code", "refresh_token"}
        assertions = [form["client_assertion"][0] for form in shown]
        assert len(set(assertions)) == len(assertions) >= 4, "each is shown once"
        assert where({private, private.splitlines()[1]}, world.authorization.received().encode("latin-1")) == []
        assert where({private, private.splitlines()[1]}, world.gateway.stdout.read_bytes() + world.gateway.log().encode()) == []


# One account for everybody


@pytest.fixture(scope="module")
def shared(folder):
    with World(folder / "shared", "shared", admins={"users": ["bob@example.com"]}) as world:
        yield world


def administrator(world, **wishes) -> Portal:
    browser = world.browser("bob", connect=False, **wishes)
    browser.open(world.gateway.public_url + "/")
    return Portal(world.gateway.public_url, browser)


def shared_state(boss: Portal) -> dict:
    return boss.get("/api/admin/origins")["origins"][0]


def connect_for_everybody(world, boss: Portal) -> None:
    origin = shared_state(boss)["origin"]["id"]
    boss.browser.open(boss.change("POST", f"/api/admin/origins/{origin}/connect")["url"])


@pytest.mark.requirement("client.shared")
def test_until_an_administrator_has_connected_it_people_are_told_whom_to_ask_and_then_all_use_it(shared):
    ana = shared.browser("ana", connect=False)
    callers = {era: shared.caller("shared", ana, era=era) for era in ERAS}
    for caller in callers.values():
        assert caller.names() == [], "there is nothing that a person could connect"
        answer = caller.call("whoami")
        text = json.dumps(answer.message)
        assert answer.status == 200, text
        assert "administrator" in text, text
        assert "/connect/" not in text, text
    shared.gateway.wait_event("mcp.capability", reason="admin_needed", outcome="gateway_error", auth_mode="shared_oauth")
    assert shared.origins["shared"].tools_called() == []

    boss = administrator(shared)
    assert shared_state(boss)["shared"]["state"] == "never_connected"
    connect_for_everybody(shared, boss)
    assert shared_state(boss)["shared"]["state"] == "connected"
    event = shared.gateway.wait_event("admin.connected", outcome="success")
    assert event["subject"] == "company:bob"
    for caller in callers.values():
        assert "whoami" in caller.names()
        assert caller.call("whoami").result["content"][0]["text"] == "bob", "the account that the administrator connected"


@pytest.mark.requirement("client.shared")
def test_nobody_but_an_administrator_connects_or_finishes_it(shared):
    boss = administrator(shared)
    origin = shared_state(boss)["origin"]["id"]
    browser = shared.browser("ana", connect=False)
    browser.open(shared.gateway.public_url + "/")
    ana = Portal(shared.gateway.public_url, browser)
    for path in (f"/api/admin/origins/{origin}/connect", f"/api/admin/origins/{origin}/revoke"):
        assert ana.ask("POST", path).status_code == 403
    assert ana.ask("POST", f"/api/connections/{origin}/connect").status_code == 400
    # Nor with what an administrator has begun.
    begun = boss.change("POST", f"/api/admin/origins/{origin}/connect")["url"]
    state = parse_qs(urlsplit(begun).query)["state"][0]
    answer = ana.ask("GET", f"/connect/{origin}/callback?code=anything&state={state}")
    assert answer.status_code == 403


@pytest.mark.requirement("client.shared")
def test_an_administrator_disconnects_it_for_everybody(shared):
    boss = administrator(shared)
    if shared_state(boss)["shared"]["state"] != "connected":
        connect_for_everybody(shared, boss)
    caller = shared.caller("shared", shared.browser("ana", connect=False))
    assert caller.call("whoami").status == 200
    origin = shared_state(boss)["origin"]["id"]
    assert boss.change("POST", f"/api/admin/origins/{origin}/revoke")["connections"] == 1
    assert "administrator" in json.dumps(caller.call("whoami").message)
    assert shared_state(boss)["shared"]["state"] == "never_connected"
    page = boss.ask("GET", "/admin/origins").text
    assert "no user can use it" in page
