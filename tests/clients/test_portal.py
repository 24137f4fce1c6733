"""What people and administrators take back holds on every replica within two seconds: two gateways on one PostgreSQL, a real identity
provider, a real origin with its own authorization server."""

import json
import time

import httpx2
import pytest
from portal import Portal
from postgres import Postgres
from processes import wait_until
from replicas import Replica, at, holds_soon, refused_soon
from world import World


@pytest.fixture(scope="module")
def database(folder):
    # What is right costs a debug build 100 ms a connection.
    with Postgres(folder, auth="md5") as database:
        yield database


@pytest.fixture(scope="module")
def world(folder, database):
    world = World(folder, "open", "accounts", admins={"users": ["eve@example.com"]})
    world.gateway = Replica(folder / "one", world.manifests, database.url, port=world.gateway.port)
    with world, world.gateway.another(folder / "two") as world.second:
        yield world


@pytest.fixture(scope="module")
def boss(world):
    return signed_in(world, "eve")


def signed_in(world, login: str, **wishes) -> Portal:
    """Somebody who has signed in at the portal, without connecting anything."""
    browser = world.browser(login, connect=False, **wishes)
    browser.open(world.gateway.public_url + "/")
    return Portal(world.gateway.public_url, browser)


def both(world, slug: str, token: str):
    """The same client at either replica, which both have seen its token."""
    callers = [at(world.caller(slug, token=token), replica, slug) for replica in (world.gateway, world.second)]
    for caller in callers:
        assert caller.send("tools/list").status == 200
    return callers


def unconnected_soon(caller, began: float) -> None:
    holds_soon(lambda: "/connect/" in json.dumps(caller.call("whoami").message), began, "the account to be gone")


def person(boss: Portal, login: str) -> str:
    return boss.get(f"/api/admin/people?q={login}@example.com")["people"][0]["id"]


def test_a_client_that_its_person_removes_at_one_replica_is_refused_at_the_other(world):
    ana = signed_in(world, "ana")
    client = world.oauth("open")
    token = client.sign_in(ana.browser).access_token
    other = world.oauth("open").sign_in(ana.browser).access_token
    here, there = both(world, "open", token)
    listed = ana.get("/api/clients")["clients"]
    assert [each["client"]["name"] for each in listed] == ["plain client", "plain client"]
    [grant] = [each["id"] for each in listed if each["client"]["id"] == client.client["client_id"]]
    began, cursor = time.monotonic(), world.gateway.cursor()
    assert ana.ask("DELETE", f"/api/clients/{grant}").status_code == 204
    assert here.send("tools/list").status == 401
    refused_soon(there, began)
    assert world.caller("open", token=other).send("tools/list").status == 200
    assert world.gateway.wait_event("auth.revoked", after=cursor, reason="by_person")["subject"] == "company:ana"


def test_everything_of_a_person_ends_at_both_replicas_their_sessions_included(world, boss):
    bob = signed_in(world, "bob")
    token = world.oauth("open").sign_in(bob.browser).access_token
    here, there = both(world, "open", token)
    elsewhere = Portal(world.gateway.public_url, bob.browser, at=world.second.own_url(""))
    assert elsewhere.get("/api/me")["people"][0]["subject"] == "company:bob"
    began, cursor = time.monotonic(), world.gateway.cursor()
    answer = boss.ask("POST", f"/api/admin/people/{person(boss, 'bob')}/revoke", {"connections": True})
    assert answer.json() == {"grants": 1, "sessions": 1, "connections": 0}, answer.text
    assert here.send("tools/list").status == 401
    refused_soon(there, began)
    assert elsewhere.ask("GET", "/api/me").status_code == 401
    event = world.gateway.wait_event("admin.revoked", after=cursor, reason="person")
    assert (event["subject"], event["target"]) == ("company:eve", "company:bob")


def test_a_client_that_an_administrator_ends_is_ended_for_everybody(world, boss):
    oauth = world.oauth("open")
    tokens = [oauth.sign_in(world.browser(login, connect=False)).access_token for login in ("ana", "bob")]
    callers = [both(world, "open", token)[1] for token in tokens]
    began = time.monotonic()
    answer = boss.ask("POST", "/api/admin/clients/revoke", {"client_id": oauth.client["client_id"]})
    assert answer.json()["grants"] == 2, answer.text
    for caller in callers:
        refused_soon(caller, began)


def test_an_account_that_is_disconnected_at_one_replica_is_not_used_at_the_other_and_is_revoked_at_the_origin(world):
    browser = world.browser("ana")
    token = world.oauth("accounts").sign_in(browser).access_token
    callers = [at(world.caller("accounts", token=token), replica, "accounts") for replica in (world.second, world.gateway)]
    for caller in callers:
        assert caller.call("whoami").result["content"][0]["text"] == "ana"
    ana = Portal(world.gateway.public_url, browser)
    [mine] = ana.get("/api/connections")["connections"]
    assert (mine["state"], mine["scopes"]) == ("connected", ["read"])
    assert mine["last_used_at"]
    revoked = len(revocations(world))
    began = time.monotonic()
    assert ana.ask("DELETE", f"/api/connections/{mine['origin']['id']}").status_code == 204
    unconnected_soon(callers[0], began)
    unconnected_soon(callers[1], began)
    wait_until(lambda: len(revocations(world)) > revoked, what="the tokens to be revoked at the origin")
    assert ana.get("/api/connections")["connections"][0]["state"] == "never_connected"


def test_everybodys_account_at_an_origin_ends_at_both_replicas(world, boss):
    logins = ("bob", "ana")
    callers = []
    for login in logins:
        token = world.oauth("accounts").sign_in(world.browser(login)).access_token
        caller = at(world.caller("accounts", token=token), world.second, "accounts")
        assert caller.call("whoami").result["content"][0]["text"] == login
        callers.append(caller)
    [found] = boss.get("/api/admin/origins")["origins"]
    assert found["connections"] == 2
    revoked = len(revocations(world))
    began = time.monotonic()
    answer = boss.ask("POST", f"/api/admin/origins/{found['origin']['id']}/revoke")
    assert answer.json() == {"grants": 0, "sessions": 0, "connections": 2}, answer.text
    for caller in callers:
        unconnected_soon(caller, began)
    wait_until(lambda: len(revocations(world)) >= revoked + 2 * len(logins), what="every token to be revoked at the origin")
    assert world.gateway.wait_event("admin.revoked", reason="origin")["target"] == "default/accounts"


def test_a_stream_that_waits_at_one_replica_hears_of_an_account_connected_at_the_other(world):
    browser = world.browser("ana", connect=False)
    token = world.oauth("accounts").sign_in(browser).access_token
    waiting = at(world.caller("accounts", token=token, era="2025-11-25"), world.second, "accounts")
    waiting.initialize()
    headers = {"Authorization": f"Bearer {token}", "Accept": "text/event-stream", "MCP-Protocol-Version": waiting.era}
    with httpx2.Client(timeout=20, trust_env=False, headers={"Host": world.second.host()}) as http:
        with http.stream("GET", waiting.url, headers={**headers, "Mcp-Session-Id": waiting.session}) as stream:
            assert stream.status_code == 200
            lines = stream.iter_lines()
            next(lines)
            browser.wish(connect=True)
            browser.open(world.gateway.public_url + "/connections")
            assert any("list_changed" in line for line in lines)


def revocations(world) -> list[dict]:
    return [request for request in world.authorization.requests() if request["url"] == "/token/revocation"]
