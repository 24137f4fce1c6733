"""What an origin shows to one person's account is shown to nobody else, and is never why somebody else may read something."""

import json
import re
import time

import manifests as m
import pytest
from attack import LINK, Attack
from impostor import Asked, reply, result
from raw import LEGACY, MODERN, Caller
from world import World

TEMPLATES_ONLY = {"capabilities": {"resources": {"include": []}}}
ERAS = pytest.mark.parametrize("era", [LEGACY, MODERN])
REFRESH = 5.5  # a catalog that was just learned is not learned again for 5 s
OF_ANA = re.compile(r"of[_-]ana|of ana|for ana|space://ana|account\W+ana")


class Workspaces:
    """Makes an origin show each account its own workspace, named after its owner. `public` are the methods whose results it declares public."""

    def __init__(self, attack, *, public: tuple[str, ...] = (), scope=None):
        self.impostor, self.public, self.scope = attack.impostor, public, scope
        self.owners: dict[str, str] = {}
        self.owner = "nobody"
        self.issue, self.impostor.issue = self.impostor.issue, self.issued
        self.impostor.on["/mcp"] = self.answer

    def issued(self, **changes) -> dict:
        tokens = self.issue(**changes)
        self.owners[tokens["access_token"]] = self.owner
        return tokens

    def answer(self, asked: Asked):
        owner = self.owners.get(asked.bearer)
        if owner is None or asked.method != "POST":
            return self.impostor.mcp(asked)
        match asked.message["method"]:
            case "initialize":
                said = {"protocolVersion": LEGACY, "capabilities": {"tools": {}, f"of-{owner}": {}}, "serverInfo": {"name": f"Space of {owner}", "version": "1"}}
                return reply({"jsonrpc": "2.0", "id": asked.message["id"], "result": self.said(asked, said)}, 200, ("Mcp-Session-Id", f"s-{owner}"))
            case "server/discover":
                return result(asked, self.said(asked, {"supportedVersions": [MODERN], "capabilities": {"tools": {}, f"of-{owner}": {}}}))
            case "tools/list":
                return result(asked, self.said(asked, {"tools": [{"name": f"tool_of_{owner}", "inputSchema": {"type": "object"}}]}))
            case "prompts/list":
                return result(asked, self.said(asked, {"prompts": [{"name": f"prompt_of_{owner}"}]}))
            case "resources/list":
                return result(asked, self.said(asked, {"resources": [{"name": "x", "uri": f"space://{owner}/readme"}]}))
            case "resources/templates/list":
                templates = [{"name": "x", "uriTemplate": f"space://{owner}/{{page}}"}]
                return result(asked, self.said(asked, {"resourceTemplates": templates}))
            case "resources/read":
                uri = asked.message["params"]["uri"]
                return result(asked, {"resultType": "complete", "contents": [{"uri": uri, "text": f"read by {owner}"}]})
            case _:
                return self.impostor.mcp(asked)

    def said(self, asked: Asked, content: dict) -> dict:
        method = asked.message["method"]
        scope = {"cacheScope": "public"} if method in self.public else {} if self.scope is None else {"cacheScope": self.scope}
        content |= {"resultType": "complete", "ttlMs": 0, **scope}
        if method in ("initialize", "server/discover"):
            content |= {"instructions": f"You work for {self.owners[asked.bearer]}.", "_meta": {"account": self.owners[asked.bearer]}}
        return content

    def read(self) -> list[str]:
        """What was read, of what the origin was asked for."""
        return [each.message["params"]["uri"] for each in self.impostor.requests("/mcp") if b'"resources/read"' in each.body]

    def listed(self) -> list[str | None]:
        """Who asked for templates."""
        return [self.owners.get(each.bearer) for each in self.impostor.requests("/mcp") if b'"resources/templates/list"' in each.body]


LISTS = ("tools/list", "prompts/list", "resources/list", "resources/templates/list")
EVERYTHING = ("initialize", "server/discover", *LISTS)


def connected(given, spaces: Workspaces, login: str) -> Caller:
    """A person whose account is connected, and who has listed everything in both eras."""
    spaces.owner = login
    caller = person(given, login)
    browser = given.world.victims[login]
    browser.wish(connect=True)
    link = json.dumps(caller.call("connect_account").message)
    visit = browser.open(LINK.search(link)[0])
    browser.wish(connect=False)
    assert visit.status == 200, visit.page.text
    assert caller.names() == [f"tool_of_{login}"]
    for era in (MODERN, LEGACY):
        ask_everything(given.world.caller(given.name, browser, era=era) if era == LEGACY else caller)
    return caller


def person(given, login: str, era: str = MODERN) -> Caller:
    kept = given.world.__dict__.setdefault("victims", {})
    if login not in kept:
        kept[login] = given.world.browser(login, connect=False)
    kept[login].wish(connect=False)
    return given.world.caller(given.name, kept[login], era=era)


def ask_everything(caller: Caller) -> dict[str, str]:
    """What a client asks for first, and the answers."""
    first = ("server/discover", caller.send("server/discover")) if caller.era == MODERN else ("initialize", caller.initialize())
    return {first[0]: first[1].text, **{method: caller.send(method).text for method in LISTS}}


@ERAS
@pytest.mark.parametrize("scope", [None, "private", "Public", True, ["public"]])
def test_nothing_that_one_persons_account_shows_reaches_somebody_without_an_account(attack, era, scope):
    given = attack()
    spaces = Workspaces(given, scope=scope)
    connected(given, spaces, "ana")
    bob = person(given, "bob", era)
    for method, text in ask_everything(bob).items():
        assert not OF_ANA.search(text), f"{method}: {text}"
        assert "instructions" not in text
    assert bob.names() == ["connect_account"]
    assert bob.names("prompts") == bob.names("resources") == bob.names("resourceTemplates") == []


@ERAS
@pytest.mark.parametrize("why", ["owner", "origin"])
def test_a_shared_catalog_is_seen_before_connecting_but_never_its_instructions(attack, era, why):
    given = attack(**({"catalog": {"sharing": "Shared"}} if why == "owner" else {}))
    spaces = Workspaces(given, public=EVERYTHING if why == "origin" else ())
    connected(given, spaces, "ana")
    bob = person(given, "bob", era)
    said = ask_everything(bob)
    assert bob.names() == ["tool_of_ana", "connect_account"]
    assert bob.names("prompts") == ["prompt_of_ana"]
    assert bob.names("resourceTemplates") == ["space://ana/{page}"]
    assert bob.names("resources") == [], "resources are never kept"
    greeting = said["server/discover" if era == MODERN else "initialize"]
    assert "of-ana" in greeting
    assert "instructions" not in greeting
    assert not re.search(r"for ana|account\W+ana", greeting)


def test_only_the_list_that_is_public_is_shared(attack):
    given = attack()
    spaces = Workspaces(given, public=("tools/list",))
    connected(given, spaces, "ana")
    bob = person(given, "bob")
    assert bob.names() == ["tool_of_ana", "connect_account"]
    assert bob.names("prompts") == bob.names("resourceTemplates") == []
    assert "of-ana" not in bob.send("server/discover").text


def test_a_list_that_was_public_and_a_catalog_that_was_shared_are_withdrawn(attack):
    given = attack(catalog={"sharing": "Shared"})
    spaces = Workspaces(given)
    ana = connected(given, spaces, "ana")
    bob = person(given, "bob")
    assert bob.names() == ["tool_of_ana", "connect_account"]
    given.edit(lambda spec: spec.pop("catalog"))
    assert bob.names() == ["connect_account"]
    for public, seen in ((("tools/list",), ["tool_of_ana", "connect_account"]), ((), ["connect_account"])):
        time.sleep(REFRESH)
        spaces.public = public
        assert ana.names() == ["tool_of_ana"]
        assert bob.names() == seen


@pytest.mark.parametrize("sharing", ["Private", "Shared"])
@ERAS
def test_a_template_of_one_persons_account_lets_nobody_else_read(attack, era, sharing):
    given = attack(virtual=TEMPLATES_ONLY, catalog={"sharing": sharing})
    spaces = Workspaces(given, public=("resources/templates/list",))
    connected(given, spaces, "ana")
    connected(given, spaces, "bob")
    bob = person(given, "bob", era)
    spaces.impostor.asked.clear()
    assert bob.send("resources/read", uri="space://ana/salary").error["data"]["reason"] == "resource_not_allowed"
    assert spaces.read() == []
    assert bob.send("resources/read", uri="space://bob/1").result["contents"][0]["text"] == "read by bob"
    ana = person(given, "ana", era)
    assert ana.send("resources/read", uri="space://ana/salary").result["contents"][0]["text"] == "read by ana"
    assert spaces.read() == ["space://bob/1", "space://ana/salary"]


@pytest.fixture
def restarting(folder):
    """A gateway that a test may stop."""
    with World(folder / f"{time.monotonic_ns()}", "open") as world:
        yield world


def test_templates_that_are_not_known_are_requested_with_the_credential_of_the_person_who_reads(restarting):
    given = Attack(restarting, virtual=TEMPLATES_ONLY)
    spaces = Workspaces(given)
    for login in ("ana", "bob"):
        connected(given, spaces, login)
    given.world.gateway.stop()
    given.world.gateway.start()
    spaces.impostor.asked.clear()
    for login in ("ana", "bob", "ana"):
        caller = person(given, login)
        assert caller.send("resources/read", uri=f"space://{login}/1").result["contents"][0]["text"] == f"read by {login}"
    assert spaces.listed() == ["ana", "bob"]


@ERAS
def test_somebody_without_an_account_who_reads_is_led_to_connect_one(attack, era):
    given = attack(virtual=TEMPLATES_ONLY)
    spaces = Workspaces(given)
    connected(given, spaces, "ana")
    before = len(spaces.read())
    bob = person(given, "bob", era)
    for uri in ("space://ana/salary", "space://nobody/1"):
        error = bob.send("resources/read", uri=uri).error
        assert error["data"]["reason"] == "connect_needed", error
        assert "/connect/" in json.dumps(error)
    assert len(spaces.read()) == before


@pytest.mark.parametrize("sharing", ["Private", "Shared"])
def test_what_one_persons_account_shows_is_stored_only_if_it_is_shared(restarting, sharing):
    given = Attack(restarting, catalog={"sharing": sharing})
    connected(given, Workspaces(given), "ana")
    given.world.gateway.stop()
    stored = b"".join(path.read_bytes() for path in given.world.gateway.state.iterdir() if ".sqlite" in path.name)
    assert (b"tool_of_ana" in stored) == (sharing == "Shared")
    assert (b"prompt_of_ana" in stored) == (sharing == "Shared")
    assert b"You work for ana" not in stored


@pytest.mark.parametrize("sees", ["everything", "echo"])
def test_a_list_of_a_route_with_team_rules_is_private_for_every_caller(attack, sees):
    """A list that a cache may show to all would show a restricted caller what another may see."""
    given = attack(open=True, virtual={"access": "Teams"})
    teams = [m.team(f"all-{given.name}", {"virtualMcp": given.name}, groups=["finance"])]
    teams.append(m.team(f"some-{given.name}", {"virtualMcp": given.name, "tools": {"include": ["echo"]}}, groups=["engineering"]))
    given.manifests += teams if sees == "echo" else teams[:1]
    given.edit(lambda spec: None)
    listed = given.caller.send("tools/list").result
    assert [tool["name"] for tool in listed["tools"]] == ["whoami"], "she is in finance"
    assert listed["cacheScope"] == ("private" if sees == "echo" else "public")
