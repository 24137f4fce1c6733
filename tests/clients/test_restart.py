"""Killed in the middle of traffic and started again, the gateway goes on with the tokens and sessions that clients have."""

import time

import measured
import pytest
from raw import LEGACY, MODERN
from traffic import Traffic
from world import World

ROUTES = ("open", "accounts", "everything")


@pytest.fixture(scope="module")
def world(folder):
    with World(folder, *ROUTES) as world:
        yield world


def origin_sessions(world, name):
    return {message["headers"]["mcp-session-id"] for message in world.origins[name].messages() if "mcp-session-id" in message["headers"]}


def test_clients_go_on_after_a_kill_in_the_middle_of_traffic(world):
    browser = world.browser("ana")
    traffic = [Traffic(world.caller(route, browser, era=era), pause=0) for route in ("open", "accounts") for era in (LEGACY, MODERN)]
    clients = {}
    for name in ("typescript-sdk", "typescript-client", "python-mcp", "fastmcp", "mcp-remote"):
        for route in ("accounts", "everything"):
            client = clients[name, route] = world.client(name, route, browser)
            client.connect()
            assert "echo" in client.names()
    time.sleep(0.5)
    pages = len(browser.seen())
    sessions = {name: origin_sessions(world, name) for name in ("open", "accounts")}
    opened = {name: len(world.origins[name].messages("initialize")) for name in ("open", "accounts")}
    before = [each.good for each in traffic]
    assert all(before), "there is no traffic to be killed in"

    for _ in range(2):
        world.gateway.kill()
        time.sleep(0.3)
        started = time.monotonic()
        world.gateway.start()
        measured.note(f"restart: ready again after {time.monotonic() - started:.2f} s")
        time.sleep(0.5)

    for (name, route), client in clients.items():
        if route == "accounts":
            assert client.text("whoami") == "ana", name
        else:
            assert "hello" in client.text("echo", message="hello"), name
        client.stop()
    time.sleep(0.3)
    for each in traffic:
        each.stop()
        assert each.wrong == []
        assert each.lost > 0
    assert all(each.good > was for each, was in zip(traffic, before, strict=True))
    assert len(browser.seen()) == pages, "somebody had to sign in again"
    for name in ("open", "accounts"):
        assert origin_sessions(world, name) == sessions[name], "a session of the origin was lost"
        assert len(world.origins[name].messages("initialize")) == opened[name]


def test_a_grant_and_a_browser_session_survive(world):
    browser = world.browser("bob")
    oauth = world.oauth("accounts")
    grant = oauth.sign_in(browser)
    world.gateway.kill()
    world.gateway.start()
    assert world.caller("accounts", token=grant.access_token).call("whoami").result["content"][0]["text"] == "bob"
    assert oauth.refresh(grant.refresh_token).status_code == 200
    logins = sum("Sign-in" in page["title"] for page in browser.seen())
    world.oauth("accounts").sign_in(browser)
    assert sum("Sign-in" in page["title"] for page in browser.seen()) == logins


def test_a_session_of_another_user_is_unknown(world):
    """A session is never authentication: it opens only for the user whose it is."""
    ana = world.caller("open", world.browser("ana"), era=LEGACY)
    bob = world.caller("open", world.browser("bob"), era=LEGACY)
    bob.session = ana.session
    assert bob.call("echo", text="x").status == 404
    bob.session = "made-up"
    assert bob.call("echo", text="x").status == 404
