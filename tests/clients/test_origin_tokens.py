"""An origin's token that expires is refreshed unseen; one that is revoked, or never was, leads to connecting."""

import json
import re
import threading
import time

import manifests as m
import pytest
from processes import wait_until
from raw import LEGACY, MODERN
from world import World

LINK = re.compile(r"https?://[^\s\"'<>)\\]+/connect/[^\s\"'<>)\\]+")


@pytest.fixture
def world(folder):
    """A new one for each test: who has connected what is the very thing that differs."""
    with World(folder / f"{time.monotonic_ns()}", "accounts", access_ttl=3) as world:
        yield world


def refreshes(world) -> list[dict]:
    return [r for r in world.authorization.requests() if r["url"] == "/token" and "grant_type=refresh_token" in r["body"]]


def signed_in_without_connecting(world, login="ana"):
    return world.browser(login, connect=False)


def link_in(answer: dict) -> str:
    found = LINK.search(json.dumps(answer))
    assert found, f"no connect link in {answer}"
    return found[0]


@pytest.mark.parametrize("name", ["typescript-sdk", "python-mcp"])
def test_an_expired_token_is_refreshed_without_the_client_noticing(world, name):
    browser = world.browser("ana")
    client = world.client(name, "accounts", browser)
    client.connect()
    assert client.text("whoami") == "ana"
    pages = len(browser.seen())
    for _ in range(2):
        time.sleep(3.5)
        assert client.text("whoami") == "ana"
    assert len(refreshes(world)) >= 2
    assert len(browser.seen()) == pages
    client.stop()


@pytest.mark.requirement("client.refresh.unauthorized")
def test_a_token_that_the_origin_refuses_early_is_refreshed_once_and_the_call_retried(world):
    caller = world.caller("accounts", world.browser("ana"))
    assert caller.call("counter").status == 200
    before, called = len(refreshes(world)), world.origins["accounts"].tools_called()
    world.authorization.lever("revoke", login="ana", what="access")
    assert caller.call("whoami").result["content"][0]["text"] == "ana"
    assert len(refreshes(world)) == before + 1
    assert world.origins["accounts"].tools_called() == [*called, "whoami", "whoami"]  # the refused one and its retry


@pytest.mark.requirement("client.refresh.once")
def test_many_calls_at_once_after_expiry_make_one_refresh(world):
    browser = world.browser("ana")
    token = world.oauth("accounts").sign_in(browser).access_token
    callers = [world.caller("accounts", token=token) for _ in range(16)]
    assert callers[0].call("whoami").status == 200
    world.authorization.lever("revoke", login="ana", what="access")
    before, answers = len(refreshes(world)), []
    threads = [threading.Thread(target=lambda each=each: answers.append(each.call("whoami"))) for each in callers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [answer.result["content"][0]["text"] for answer in answers] == ["ana"] * 16
    assert len(refreshes(world)) == before + 1


@pytest.mark.requirement("client.refresh.unauthorized")
@pytest.mark.parametrize("era", [LEGACY, MODERN])
def test_a_revoked_grant_leads_to_the_reconnect_path_and_back(world, era):
    browser = world.browser("ana")
    caller = world.caller("accounts", browser, era=era)
    assert caller.call("whoami").status == 200
    world.authorization.lever("revoke", login="ana", what="grant")
    answer = caller.call("whoami")
    assert answer.status == 200
    link = link_in(answer.message)
    called = len(world.origins["accounts"].tools_called())
    browser.open(link)
    assert caller.call("whoami").result["content"][0]["text"] == "ana"
    assert len(world.origins["accounts"].tools_called()) == called + 1


@pytest.mark.parametrize("name", ["typescript-sdk", "typescript-client", "python-mcp", "fastmcp"])
def test_an_unconnected_users_client_lists_is_led_to_connect_and_then_works_without_reconnecting(world, name):
    browser = signed_in_without_connecting(world)
    client = world.client(name, "accounts", browser)
    client.connect()
    assert client.names() == ["connect_account"]
    assert world.origins["accounts"].tools_called() == []
    link = link_in(client.call("connect_account"))
    browser.wish(connect=True)
    browser.open(link)
    wait_until(lambda: "whoami" in client.names(), what="the origin's tools to be listed")
    assert client.text("whoami") == "ana"
    client.stop()


def test_a_client_that_listens_is_told_that_the_list_has_changed(world):
    browser = signed_in_without_connecting(world)
    client = world.client("typescript-sdk", "accounts", browser)
    client.connect()
    assert client.names() == ["connect_account"]
    link = link_in(client.call("connect_account"))
    browser.wish(connect=True)
    browser.open(link)
    wait_until(lambda: "notifications/tools/list_changed" in client.ask("notifications"), what="list_changed")
    client.stop()


@pytest.mark.parametrize("era", [LEGACY, MODERN])
def test_an_unconnected_user_sees_nothing_that_another_account_has_shown(world, era):
    bob = world.caller("accounts", world.browser("bob"), era=era)
    assert "whoami" in bob.names()
    assert bob.names("prompts")
    caller = world.caller("accounts", signed_in_without_connecting(world), era=era)
    assert caller.names() == ["connect_account"]
    assert caller.names("prompts") == caller.names("resources") == caller.names("resourceTemplates") == []
    link_in(caller.call("whoami").message)


def test_an_unconnected_user_sees_a_shared_catalog_and_is_led_to_connect_by_a_call(world):
    shared = m.origin("accounts", world.origins["accounts"].url, m.USER_OAUTH, catalog={"sharing": "Shared"})
    world.gateway.edited(lambda: world.manifests.put(shared))
    assert "whoami" in world.caller("accounts", world.browser("bob")).names()
    browser = signed_in_without_connecting(world)
    for era in (LEGACY, MODERN):
        caller = world.caller("accounts", browser, era=era)
        assert "whoami" in caller.names()
        assert "whoami" not in world.origins["accounts"].tools_called()
        answer = caller.call("whoami")
        assert answer.status == 200
        link_in(answer.message)
    browser.wish(connect=True)
    browser.open(link_in(caller.call("whoami").message))
    assert caller.call("whoami").result["content"][0]["text"] == "ana"


@pytest.mark.parametrize("name", ["typescript-sdk", "typescript-client", "python-mcp"])
def test_a_client_that_can_open_addresses_is_asked_to_and_goes_on(world, name):
    assert "whoami" in world.caller("accounts", world.browser("bob")).names()
    browser = signed_in_without_connecting(world)
    client = world.client(name, "accounts", browser, elicitation=True)
    client.connect()
    browser.wish(connect=True)
    if name == "python-mcp":
        # In the modern era the client itself opens the address and asks again.
        assert client.text("whoami") == "ana"
        assert link_in(client.ask("elicitations"))
    else:
        from drivers import ClientError

        with pytest.raises(ClientError) as error:
            client.call("whoami")
        assert error.value.code == -32042
        elicitation = error.value.data["elicitations"][0]
        assert elicitation["mode"] == "url"
        browser.open(elicitation["url"])
        assert client.text("whoami") == "ana"
    client.stop()


@pytest.mark.requirement("client.link")
def test_a_connect_link_is_good_once_and_for_its_user_alone(world):
    ana = signed_in_without_connecting(world)
    caller = world.caller("accounts", ana)
    link = link_in(caller.call("connect_account").message)
    eve = signed_in_without_connecting(world, "eve")
    world.caller("accounts", eve)
    eve.wish(connect=True)
    asked, cursor = len(world.authorization.requests()), world.gateway.cursor()
    refused = eve.open(link)
    assert refused.status == 403, refused.page.text
    assert world.gateway.wait_event("policy.denied", after=cursor, reason="link_of_another")["subject"].endswith("eve")
    assert len(world.authorization.requests()) == asked, "eve was sent to the origin's authorization server"
    assert caller.names() == ["connect_account"], "somebody else's account was connected"

    link = link_in(caller.call("connect_account").message)
    ana.wish(connect=True)
    ana.open(link)
    assert caller.call("whoami").result["content"][0]["text"] == "ana"
    ana.forget()
    assert world.browser("eve").open(link).status >= 400


@pytest.mark.requirement("advisory.object-access")
def test_what_is_connected_is_each_users_own(world):
    ana = world.caller("accounts", world.browser("ana"))
    bob = world.caller("accounts", world.browser("bob"))
    for _ in range(3):
        assert ana.call("whoami").result["content"][0]["text"] == "ana"
        assert bob.call("whoami").result["content"][0]["text"] == "bob"
