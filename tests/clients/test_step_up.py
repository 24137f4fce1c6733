"""An origin that wants more for some of its tools: one consent for all of it, and the same call goes through (MCP, basic/authorization,
"Step-Up Authorization Flow")."""

import re
import time
from urllib.parse import parse_qs, urlsplit

import manifests as m
import pytest
from drivers import ClientError
from raw import LEGACY, MODERN
from world import World

LINK = re.compile(r"https?://[^\s\"'<>)\\]+/connect/[^\s\"'<>)\\]+")


@pytest.fixture
def world(folder):
    with World(folder / f"{time.monotonic_ns()}", "stepping") as world:
        yield world


def link_in(text: str) -> str:
    found = LINK.search(text)
    assert found, f"no connect link in {text}"
    return found[0]


def asked_scopes(world) -> list[set[str]]:
    """What each consent so far has asked for at the origin's authorization server."""
    asked = [parse_qs(urlsplit(each["url"]).query) for each in world.authorization.requests() if each["url"].startswith("/auth?")]
    return [set(each["scope"][0].split()) - {"offline_access"} for each in asked]


def event(world, **fields) -> dict:
    return world.gateway.wait_event("mcp.capability", **fields)


@pytest.mark.requirement("client.step-up")
@pytest.mark.parametrize("era", [LEGACY, MODERN])
def test_a_tool_that_wants_more_leads_to_one_consent_for_the_union_and_then_the_same_call_goes_through(world, era):
    browser = world.browser("ana")
    caller = world.caller("stepping", browser, era=era)
    assert caller.call("whoami").result["content"][0]["text"] == "ana"
    signed_in = len(world.idp.requests())

    answer = caller.call("echo", text="hello")
    assert answer.status == 200
    assert answer.result["isError"] is True
    assert "write" in answer.result["content"][0]["text"]
    assert "www-authenticate" not in answer.headers, "the origin's challenge is not the gateway's"
    event(world, capability="echo", outcome="denied", reason="step_up_needed")
    # Nothing else is disturbed meanwhile.
    assert caller.call("whoami").result["content"][0]["text"] == "ana"

    seen = len(browser.seen())
    assert browser.open(link_in(answer.text)).status == 200
    page = browser.seen()[seen]["text"]
    assert "Additional permissions write" in page
    assert caller.call("echo", text="hello").result["content"][0]["text"] == "hello"
    assert asked_scopes(world) == [{"read"}, {"read", "write"}]
    assert len(world.idp.requests()) == signed_in, "nobody had to sign in to the gateway again"


@pytest.mark.requirement("client.step-up")
def test_two_tools_that_want_different_things_are_one_consent_and_a_third_thing_later_loses_neither(world):
    browser = world.browser("ana")
    caller = world.caller("stepping", browser)
    first = caller.call("echo", text="hello")
    second = caller.call("add", a=1, b=2)
    assert "files" in second.text
    browser.open(link_in(first.text))
    assert caller.call("echo", text="hello").result["content"][0]["text"] == "hello"
    assert caller.call("add", a=1, b=2).result["content"][0]["text"] == "3"
    assert asked_scopes(world) == [{"read"}, {"read", "write", "files"}]
    browser.open(link_in(caller.call("counter").text))
    assert asked_scopes(world)[2] == {"read", "write", "files", "nobody-has-this"}
    assert caller.call("add", a=1, b=2).result["content"][0]["text"] == "3"


@pytest.mark.requirement("client.step-up.ends")
def test_a_scope_that_is_still_refused_after_the_consent_is_a_clear_error_and_no_other_round(world):
    browser = world.browser("ana")
    caller = world.caller("stepping", browser)
    browser.open(link_in(caller.call("counter").text))
    for _ in range(2):
        answer = caller.call("counter")
        assert answer.status == 200
        assert answer.error["data"]["reason"] == "scope_refused"
        assert "nobody-has-this" in answer.error["message"]
        assert not LINK.search(answer.text)
    assert len(asked_scopes(world)) == 2
    event(world, capability="counter", outcome="upstream_error", reason="scope_refused", failure_origin="upstream")
    assert caller.call("whoami").result["content"][0]["text"] == "ana", "what was granted still works"
    # Another scope is another matter.
    browser.open(link_in(caller.call("echo", text="hello").text))
    assert caller.call("echo", text="hello").result["content"][0]["text"] == "hello"


def test_what_is_wanted_is_shown_at_the_portal_asked_for_there_too_and_is_each_persons_own(world):
    browser = world.browser("ana")
    caller = world.caller("stepping", browser)
    bob = world.caller("stepping", world.browser("bob"))
    caller.call("echo", text="hello")
    portal = f"{world.gateway.public_url}/connections"
    seen = len(browser.seen())
    browser.open(portal)  # it presses the one button that gives something
    assert "Also requested write" in browser.seen()[seen]["text"]
    assert caller.call("echo", text="hello").result["content"][0]["text"] == "hello"
    assert "write" in bob.call("echo", text="hello").text, "nobody has asked Bob yet"


def test_the_tool_that_connects_gives_the_link_too(world):
    curated = m.virtual("curated", "stepping", capabilities={"tools": {"include": ["echo", "whoami"]}})
    world.gateway.edited(lambda: world.manifests.put(curated))
    browser = world.browser("ana")
    caller = world.caller("curated", browser)
    assert "already connected" in caller.call("connect_account").text
    caller.call("echo", text="hello")
    browser.open(link_in(caller.call("connect_account").text))
    assert caller.call("echo", text="hello").result["content"][0]["text"] == "hello"
    assert "already connected" in caller.call("connect_account").text


@pytest.mark.requirement("client.step-up")
@pytest.mark.parametrize("name", ["typescript-sdk", "typescript-client", "python-mcp"])
def test_a_client_that_can_open_addresses_is_asked_to_and_goes_on(world, name):
    browser = world.browser("ana")
    client = world.client(name, "stepping", browser, elicitation=True)
    client.connect()
    assert client.text("whoami") == "ana"
    if name == "python-mcp":
        # In the modern era the client itself opens the address and asks again.
        assert client.text("echo", text="hello") == "hello"
        assert link_in(str(client.ask("elicitations")))
    else:
        with pytest.raises(ClientError) as error:
            client.call("echo", text="hello")
        assert error.value.code == -32042
        elicitation = error.value.data["elicitations"][0]
        assert "write" in elicitation["message"]
        browser.open(elicitation["url"])
        assert client.text("echo", text="hello") == "hello"
    assert asked_scopes(world) == [{"read"}, {"read", "write"}]
    client.stop()


def test_a_replica_restarted_meanwhile_remembers_what_was_wanted(world):
    browser = world.browser("ana")
    caller = world.caller("stepping", browser)
    caller.call("add", a=1, b=2)
    world.gateway.stop()
    world.gateway.start()
    browser.open(link_in(caller.call("echo", text="hello").text))
    assert asked_scopes(world)[1] == {"read", "write", "files"}
