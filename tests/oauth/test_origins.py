"""The OAuth client, where no other suite has looked: an origin that moves to another authorization server, answers of several people."""

import re

import manifests as m
import pytest
from impostor import Impostor
from peers import AuthorizationServer, Origin
from processes import wait_until
from world import World

LINK = re.compile(r"http://[^\s\"\\]+/connect/[^\s\"\\]+")


@pytest.mark.requirement("client.registration.issuer", "client.revoked")
def test_an_origin_that_moves_to_another_issuer_is_shown_nothing_of_the_first(folder):
    """Given a connected account, when the origin names another authorization server, then its person connects there anew."""
    with World(folder, "accounts") as world:
        ana = world.browser("ana")
        caller = world.caller("accounts", ana)
        assert caller.call("whoami").result["content"][0]["text"] == "ana"
        first, origin = world.authorization, world.origins["accounts"]
        granted = first.tokens()
        registered = {client for client in re.findall(r'client_id[^A-Za-z0-9]+([\w-]{20,})', first.received())}
        assert granted
        assert registered
        origin.stop()
        with AuthorizationServer(folder / "second", origin.url) as second:
            with Origin(folder / "second", "accounts", origin.port, issuer=second.base):
                link = LINK.search(caller.call("whoami").text)
                assert link, "the person is led to connect again"
                ana.open(link[0])
                assert caller.call("whoami").result["content"][0]["text"] == "ana"
                assert second.tokens()
                for secret in granted | registered:
                    assert secret not in from_the_gateway(second)
                for secret in second.tokens():
                    assert secret not in from_the_gateway(first)
                is_revoked(first, first.tokens())


@pytest.mark.requirement("client.url-changed", "client.revoked")
def test_an_origin_that_moves_to_another_url_takes_nothing_along(folder):
    """Given a connected account, when the origin has another URL, then whoever is there sees nothing that was granted before."""
    with World(folder / "moved", "accounts") as world:
        ana = world.browser("ana")
        caller = world.caller("accounts", ana)
        assert caller.call("whoami").result["content"][0]["text"] == "ana"
        granted = world.authorization.tokens()
        recorder = Impostor()
        world.manifests.put(m.origin("accounts", recorder.url, m.USER_OAUTH))
        link = wait_until(lambda: LINK.search(caller.call("whoami").text), what="the new URL to be served")
        assert not recorder.asked, "nothing goes there without an account"
        ana.open(link[0])
        assert caller.call("whoami").result["content"][0]["text"] in recorder.tokens
        for secret in granted:
            assert secret not in recorder.received()
        for secret in recorder.tokens:
            assert secret not in world.authorization.received()
        is_revoked(world.authorization, granted)
        recorder.close()


def is_revoked(server: AuthorizationServer, granted: set[str]) -> None:
    """The gateway has given back what it had from there, where RFC 7009 says."""

    def revoked() -> list[str]:
        return [each["body"] for each in server.requests() if each["url"].startswith("/token/revocation")]

    wait_until(lambda: len(revoked()) >= 2, what="what was granted to be revoked")
    for body in revoked():
        assert any(secret in body for secret in granted)


def from_the_gateway(server: AuthorizationServer) -> str:
    """All that the gateway and browsers have sent there. The origin asks too, about every token that it is shown: that is its own affair."""
    return "\n".join(f"{each['url']} {each['headers']} {each['body']}" for each in server.requests() if "/introspection" not in each["url"])


@pytest.mark.requirement("advisory.private-cache")
def test_what_policy_filters_says_private_and_each_person_is_answered_for_themselves(folder):
    """Given two teams with other rules for one route, when their members list in turns, then each sees their own."""
    world = World(folder / "teams", "open")
    world.manifests.put(
        m.virtual("shared", "open", access="Teams"),
        m.team("finance", {"virtualMcp": "shared", "tools": {"include": ["echo"]}}, groups=["finance"]),
        m.team("engineering", {"virtualMcp": "shared", "tools": {"include": ["add", "counter"]}}, groups=["engineering"]),
    )
    with world:
        callers = {who: world.caller("shared", world.browser(who)) for who in ("ana", "bob")}
        for _ in range(3):
            assert callers["ana"].names() == ["echo"]
            assert callers["bob"].names() == ["add", "counter"]
        for caller in callers.values():
            assert caller.send("tools/list").result.get("cacheScope") == "private"
