"""Teams decide who may use a route and which of its tools; access lost later is refused without sending the client in circles."""

import time

import manifests as m
import pytest
from oauth import Denied
from processes import wait_until
from raw import LEGACY, MODERN
from replicas import holds_soon
from world import World

FINANCE = m.team("finance", {"virtualMcp": "guarded", "tools": {"include": ["*"], "exclude": ["delete_*"]}}, groups=["finance"])
READERS = m.team("readers", {"virtualMcp": "guarded", "tools": {"include": ["echo", "list_*"]}}, groups=["engineering"])
HELPERS = m.team("helpers", {"virtualMcp": "guarded", "tools": {"include": ["add"]}}, users=["BOB@example.com"])
NOBODY = m.team("finance", {"virtualMcp": "guarded"}, groups=["somebody-else"])


@pytest.fixture(scope="module")
def world(folder):
    world = World(folder, "open")
    world.manifests.put(m.virtual("guarded", "open", access="Teams"), m.virtual("orphan", "open", access="Teams"), FINANCE, READERS, HELPERS)
    with world:
        yield world


@pytest.mark.requirement("as.access")
@pytest.mark.parametrize("route", ["guarded", "orphan"])
def test_a_user_in_no_team_is_told_so_at_authorize_and_the_client_hears_access_denied(world, route):
    browser, cursor = world.browser("eve"), world.gateway.cursor()
    with pytest.raises(Denied) as denied:
        world.oauth(route).code(browser)
    assert denied.value.parameters["error"] == "access_denied"
    told = [page for page in browser.seen() if page["url"].startswith(world.gateway.public_url) and "access" in page["text"].lower()]
    assert any("team" in page["text"].lower() for page in told), [page["text"] for page in told]
    assert world.gateway.wait_event("policy.denied", after=cursor, route=route)["outcome"] == "denied"


@pytest.mark.requirement("advisory.object-access")
def test_a_team_gives_a_route_and_its_tool_rules(world):
    caller = world.caller("guarded", world.browser("ana"))
    assert "delete_issue" not in caller.names()
    assert {"echo", "add", "get_issue"} <= set(caller.names())
    before = world.origins["open"].tools_called()
    assert caller.call("delete_issue", id="1").error["code"] == -32602
    assert world.origins["open"].tools_called() == before


def test_teams_add_up_and_a_verified_email_counts_in_any_case(world):
    assert world.caller("guarded", world.browser("bob")).names() == ["echo", "add", "list_issues"]


@pytest.mark.requirement("rs.forbidden")
@pytest.mark.parametrize("era", [LEGACY, MODERN])
def test_access_lost_is_a_403_without_insufficient_scope_and_comes_back(world, era):
    caller = world.caller("guarded", world.browser("ana"), era=era)
    assert caller.call("echo", text="before").result["content"][0]["text"] == "before"

    seen = len(world.gateway.events("policy.denied", status=403))
    world.manifests.put(NOBODY)
    edited = time.monotonic()
    refused = holds_soon(lambda: (answer := caller.call("echo", text="after")).status == 403 and answer, edited, "access to end")
    assert "insufficient_scope" not in refused.headers.get("www-authenticate", "") + refused.text
    assert refused.error["message"]
    denied = wait_until(lambda: world.gateway.events("policy.denied", status=403)[seen:], what="the event")[-1]
    assert denied["subject"].endswith("ana")
    assert denied["route"] == "guarded"
    assert denied["outcome"] == "denied"
    before = world.origins["open"].tools_called()
    assert caller.send("tools/list").status == 403
    assert world.origins["open"].tools_called() == before

    world.manifests.put(FINANCE)
    wait_until(lambda: caller.call("echo", text="again").status == 200, what="access to come back")


@pytest.mark.parametrize("name", ["typescript-sdk", "python-mcp"])
def test_a_client_whose_user_lost_access_fails_at_once_and_opens_no_browser(world, name):
    from drivers import ClientError

    browser = world.browser("ana")
    client = world.client(name, "guarded", browser)
    try:
        client.connect()
        assert client.text("echo", text="before") == "before"
        pages = len(browser.seen())
        world.gateway.edited(lambda: world.manifests.put(NOBODY))
        with pytest.raises(ClientError):
            client.text("echo", text="after")
        time.sleep(1)
        assert len(browser.seen()) == pages
        world.gateway.edited(lambda: world.manifests.put(FINANCE))
        assert client.text("echo", text="again") == "again"
    finally:
        client.stop()
        world.manifests.put(FINANCE)


@pytest.mark.requirement("advisory.object-access")
def test_a_signed_in_user_keeps_no_access_to_a_route_that_only_others_may_use(world):
    """A token of one route is worth nothing at another."""
    token = world.oauth("guarded").sign_in(world.browser("ana")).access_token
    answer = world.caller("orphan", token=token).send("tools/list")
    assert answer.status == 401
