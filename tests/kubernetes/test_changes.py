"""What is applied is served, by a data plane that knows of it only from the cluster; every edit takes effect without a restart."""

import time

import manifests as m
import pytest
from cluster_world import ClusterWorld
from peers import ORIGIN_HOST
from processes import wait_until
from raw import LEGACY, MODERN
from streams import Stream
from world import KEY

FINANCE = m.team("finance", {"virtualMcp": "guarded", "tools": {"include": ["*"], "exclude": ["delete_*"]}}, groups=["finance"])
NOBODY = m.team("finance", {"virtualMcp": "guarded"}, groups=["somebody-else"])
SOON = 2  # seconds within which what ends has ended


@pytest.fixture(scope="module")
def world(folder):
    with ClusterWorld(folder, "open", "keyed", "accounts") as world:
        world.apply(m.virtual("guarded", "open", access="Teams"), FINANCE, m.virtual("bystander", "json-of-nobody"))
        world.served("guarded")
        yield world


@pytest.fixture
def ana(world):
    return world.browser("ana")


@pytest.fixture(autouse=True)
def no_restart(world):
    yield
    assert [each.starts for each in world.replicas] == [1]
    assert all(each.process.popen.poll() is None for each in (*world.replicas, *world.operators))


@pytest.mark.parametrize("name", ["typescript-sdk", "python-mcp"])
@pytest.mark.parametrize("route", ["open", "keyed", "accounts"])
def test_given_the_four_kinds_when_applied_then_a_real_client_signs_in_and_calls_a_tool(world, name, route, ana):
    client = world.client(name, route, ana)
    client.connect()
    assert "echo" in client.names()
    assert client.text("echo", text="from the cluster") == "from the cluster"
    if route == "accounts":
        assert client.text("whoami") == "ana"
    client.stop()


def test_given_a_team_when_its_members_call_then_its_tool_rules_hold_and_others_are_refused(world, ana):
    caller = world.caller("guarded", ana)
    assert "delete_issue" not in caller.names()
    assert caller.call("delete_issue", id="1").error["code"] == -32602


@pytest.mark.parametrize("era", [LEGACY, MODERN])
def test_given_a_curation_when_edited_then_it_is_served_and_an_open_stream_goes_on(world, era, ana):
    caller = world.caller("open", ana, era=era)
    stream = Stream(world.caller("open", ana, era=LEGACY))
    world.apply(m.virtual("open", "open", capabilities={"tools": {"include": ["echo"], "overrides": [{"name": "echo", "as": "say"}]}}))
    wait_until(lambda: caller.names() == ["say"], seconds=SOON, what="the edit to be served")
    assert caller.call("say", text="x").status == 200
    world.apply(m.virtual("open", "open"))
    wait_until(lambda: "add" in caller.names(), seconds=SOON, what="the edit to be taken back")
    time.sleep(1.5)  # streams are looked at each second
    assert stream.open


def test_given_a_slug_when_changed_then_the_new_one_serves_and_the_old_one_is_unknown(world, ana):
    world.apply(m.virtual("moving", "open", slug="here"))
    world.served("here")
    here = world.caller("here", ana)
    assert here.call("echo", text="x").status == 200
    world.apply(m.virtual("moving", "open", slug="there"))
    wait_until(lambda: here.send("tools/list").status == 404, seconds=SOON, what="the old slug to go")
    world.served("there")
    assert world.caller("there", ana).call("echo", text="x").status == 200
    assert here.call("echo", text="x").status == 404
    world.delete(m.virtual("moving", "open"))


def test_given_a_virtual_mcp_when_suspended_then_its_streams_end_soon_and_others_go_on_and_it_comes_back(world, ana):
    caller, other = world.caller("open", ana, era=LEGACY), world.caller("guarded", ana, era=LEGACY)
    concerned, unconcerned, later = Stream(caller), Stream(other), world.caller("open", ana)
    world.apply(m.virtual("open", "open", suspend=True))
    told = time.monotonic()
    assert concerned.wait_end() - told < SOON
    assert caller.call("echo", text="x").status >= 400
    assert unconcerned.open
    before = len(world.origins["open"].messages())
    caller.call("echo", text="x")
    assert len(world.origins["open"].messages()) == before
    world.apply(m.virtual("open", "open", suspend=False))
    wait_until(lambda: later.call("echo", text="x").status == 200, seconds=SOON, what="the suspension to end")
    assert unconcerned.open


def test_given_an_origin_when_suspended_then_the_streams_of_all_its_routes_end_soon(world, ana):
    streams = [Stream(world.caller(route, ana, era=LEGACY)) for route in ("open", "guarded")]
    elsewhere, later = Stream(world.caller("keyed", ana, era=LEGACY)), world.caller("open", ana)
    world.apply(m.origin("open", world.origins["open"].url, suspend=True))
    told = time.monotonic()
    for stream in streams:
        assert stream.wait_end() - told < SOON
    assert elsewhere.open
    world.apply(m.origin("open", world.origins["open"].url, suspend=False))
    wait_until(lambda: later.call("echo", text="x").status == 200, seconds=SOON, what="the suspension to end")


def test_given_a_team_when_it_loses_a_member_then_their_calls_and_streams_end_soon_and_it_heals(world, ana):
    caller = world.caller("guarded", ana, era=LEGACY)
    concerned, unconcerned = Stream(caller), Stream(world.caller("keyed", ana, era=LEGACY))
    world.apply(NOBODY)
    told = time.monotonic()
    assert concerned.wait_end() - told < SOON
    assert caller.call("echo", text="x").status == 403
    assert unconcerned.open
    world.apply(FINANCE)
    wait_until(lambda: caller.call("echo", text="x").status == 200, seconds=SOON, what="access to come back")


def test_given_a_virtual_mcp_when_deleted_then_its_streams_end_soon_and_it_is_unknown(world, ana):
    world.apply(m.virtual("passing", "open"))
    world.served("passing")
    caller = world.caller("passing", ana, era=LEGACY)
    concerned, unconcerned = Stream(caller), Stream(world.caller("open", ana, era=LEGACY))
    world.delete(m.virtual("passing", "open"))
    told = time.monotonic()
    assert concerned.wait_end() - told < SOON
    assert caller.call("echo", text="x").status == 404
    assert unconcerned.open


def test_given_a_credential_when_its_secret_is_changed_then_the_origin_receives_the_new_one(world, ana):
    caller = world.caller("keyed", ana)
    assert caller.call("echo", text="x").status == 200
    world.apply(m.secret("key", hosts=ORIGIN_HOST, value="another key"))

    def sent() -> bool:
        caller.call("echo", text="x")  # which the origin refuses
        return "another key" in world.origins["keyed"].received()

    wait_until(sent, seconds=SOON, what="the new key to be sent")
    world.apply(m.secret("key", hosts=ORIGIN_HOST, value=KEY))
    wait_until(lambda: caller.call("echo", text="x").status == 200, seconds=SOON, what="the old key to be sent again")


def test_given_resources_that_are_served_then_their_conditions_and_columns_say_so(world):
    for kind, name in (("McpGateway", "gateway"), ("OriginMcp", "open"), ("VirtualMcp", "open"), ("Team", "finance")):
        for type in ("Accepted", "ResolvedRefs", "Programmed", "Ready"):
            condition = world.wait_condition(kind, name, type, "True")
            assert condition["reason"]
            assert condition["message"]
    assert world.api.get("VirtualMcp", "open")["status"]["url"] == world.url("open")
    row = world.cluster.kubectl("get", "vmcp", "open", "--no-headers").stdout
    assert "True" in row
    assert world.url("open") in row


def test_given_an_open_origin_when_discovered_then_its_status_counts_what_it_offers(world):
    world.wait_condition("OriginMcp", "open", "Reachable", "True")
    world.wait_condition("OriginMcp", "open", "CatalogSynced", "True")
    status = world.api.get("OriginMcp", "open")["status"]
    catalog = status["catalog"]
    assert catalog["tools"] == 9
    assert catalog["prompts"] == 2
    assert catalog["hash"]
    assert status["protocolVersion"]
