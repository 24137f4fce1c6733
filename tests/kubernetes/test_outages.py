"""What is away, and what goes on all the same: the API server, the operator. The database has a module of its own."""

import time

import manifests as m
import pytest
from cluster_parts import Operator
from cluster_world import ClusterWorld
from raw import LEGACY, MODERN
from streams import Stream
from traffic import Traffic
from world import KEY

AWAY = 12  # seconds: longer than any watch or lease is renewed in


@pytest.fixture(scope="module")
def world(folder):
    with ClusterWorld(folder, "open", "keyed", "accounts") as world:
        yield world


@pytest.fixture
def no_api_server(world):
    world.cluster.stop_api_server()
    yield
    if not world.cluster.answers():
        world.cluster.start()


def test_given_no_api_server_when_calls_come_then_they_go_on_and_people_sign_in(world, no_api_server):
    ana = world.browser("ana")
    callers = [world.caller(route, ana, era=era) for route in ("open", "keyed", "accounts") for era in (LEGACY, MODERN)]
    stream = Stream(callers[0])
    traffic = [Traffic(each, pause=0.05) for each in callers]
    time.sleep(AWAY)
    for each in traffic:
        each.stop()
        assert each.wrong == []
        assert each.lost == 0
        assert each.good > 0
    assert stream.open
    assert world.caller("accounts", world.browser("bob")).call("whoami").result["content"][0]["text"] == "bob"
    assert world.replicas[0].ready()


def test_given_no_api_server_when_a_replica_is_killed_then_it_comes_back_serving_from_its_sealed_snapshot(world, no_api_server):
    replica = world.replicas[0]
    ana = world.browser("ana")
    callers = [world.caller(route, ana, era=era) for route in ("open", "keyed", "accounts") for era in (LEGACY, MODERN)]
    before = replica.routes()
    replica.kill()
    replica.start()
    assert {slug: each["uid"] for slug, each in replica.routes().items()} == {slug: each["uid"] for slug, each in before.items()}
    for caller in callers:
        assert caller.call("echo", text="x").result["content"][0]["text"] == "x"
    assert world.caller("open", world.browser("bob")).call("echo", text="x").status == 200


def test_given_a_snapshot_when_looked_at_then_it_holds_nothing_in_the_clear_and_is_its_owners_alone(world):
    snapshot = world.replicas[0].state / "snapshot.sealed"
    assert snapshot.stat().st_mode & 0o077 == 0
    content = snapshot.read_bytes()
    for word in (KEY, "identityProviders", "publicUrl", "127.0.0.4"):
        assert word.encode() not in content


def test_given_a_snapshot_that_was_tampered_with_when_a_replica_starts_then_it_serves_nothing_from_it(world, no_api_server):
    replica = world.replicas[0]
    snapshot = replica.state / "snapshot.sealed"
    whole = snapshot.read_bytes()
    replica.kill()
    snapshot.write_bytes(whole[:-20] + bytes(20))
    replica.launch()
    time.sleep(3)
    assert not replica.ready()
    assert replica.routes() == {}
    world.cluster.start()
    replica.wait(30)
    assert "open" in replica.routes()


def test_given_the_api_server_back_when_something_is_edited_then_it_is_served_again(world):
    world.cluster.stop_api_server()
    time.sleep(3)
    world.cluster.start()
    world.apply(m.virtual("later", "open"))
    world.served("later", seconds=40)
    world.wait_condition("VirtualMcp", "later", "Programmed", "True", seconds=40)
    world.delete(m.virtual("later", "open"))
    world.gone("later")


def test_given_no_operator_when_calls_come_and_a_replica_restarts_then_nothing_changes_and_edits_wait_for_it(world):
    operator, replica = world.operators[0], world.replicas[0]
    caller = world.caller("accounts", world.browser("ana"))
    operator.kill()
    world.apply(m.virtual("waiting", "open"))
    replica.kill()
    replica.start()
    assert caller.call("whoami").result["content"][0]["text"] == "ana"
    assert world.caller("open", world.browser("bob")).call("echo", text="x").status == 200
    assert "waiting" not in replica.routes()
    operator.launch()
    world.served("waiting", seconds=40)  # the dead one's lease runs out first
    world.delete(m.virtual("waiting", "open"))
    world.gone("waiting", seconds=10)


def test_given_a_deletion_while_the_operator_is_away_when_it_is_back_then_what_was_published_is_pruned(world):
    world.apply(m.virtual("orphan", "open"))
    world.served("orphan")
    count = len(world.api.list("ConfigMap", "portcullis-publication", "portcullis.dev/publication=route"))
    world.operators[0].kill()
    world.delete(m.virtual("orphan", "open"))
    world.operators[0].launch()
    world.gone("orphan", seconds=40)
    assert len(world.api.list("ConfigMap", "portcullis-publication", "portcullis.dev/publication=route")) == count - 1


def test_given_two_operators_when_the_leader_is_killed_then_the_other_takes_over(world):
    second = Operator(world.folder, world.cluster, "operator-second")
    second.launch()
    try:
        second.wait()
        world.operators[0].kill()
        world.apply(m.virtual("taken-over", "open"))
        world.served("taken-over", seconds=40)
        world.delete(m.virtual("taken-over", "open"))
        world.gone("taken-over")
    finally:
        second.stop()
        world.operators[0].launch()
