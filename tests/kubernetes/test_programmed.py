"""`Programmed` tells the truth: never True while a replica serves something older, Unknown where that cannot be told."""

import time

import manifests as m
import pytest
from cluster_world import ClusterWorld
from processes import wait_until

FRESH = 15  # seconds for which a report counts


@pytest.fixture(scope="module")
def world(folder):
    with ClusterWorld(folder, "open", replicas=3) as world:
        world.wait_condition("VirtualMcp", "open", "Programmed", "True", seconds=20)
        yield world


@pytest.fixture
def held_back(world):
    """One replica that does nothing until the test is over."""
    replica = world.replicas[1]
    replica.freeze()
    yield replica
    replica.thaw()
    world.wait_condition("VirtualMcp", "open", "Programmed", "True", seconds=30)


def limited(*tools: str) -> dict:
    return m.virtual("open", "open", capabilities={"tools": {"include": list(tools)}})


def test_given_replicas_when_they_serve_the_same_then_their_reports_say_the_same(world):
    reports = wait_until(
        lambda: (found := [each.report() for each in world.replicas]) and len({each.get("tableHash") for each in found}) == 1 and found,
        what="the replicas to report one table",
    )
    assert all(report["tableHash"] for report in reports)
    for report in reports:
        assert report["rejected"] == []
        assert report["version"]
        assert set(report["observed"]) >= {"configmaps", "secrets"}


def test_given_a_replica_held_back_when_a_resource_is_edited_then_it_is_not_programmed_until_that_one_serves_it(world, held_back):
    others = [each for each in world.replicas if each is not held_back]
    world.apply(limited("echo"))
    told = time.monotonic()
    world.wait_condition("VirtualMcp", "open", "Programmed", "False", "Propagating", seconds=5)
    caller = world.caller("open", token="none")
    for each in others:
        world.served("open", [each])
        assert world.at(each, caller).send("tools/list").status == 401
    while time.monotonic() - told < FRESH - 5:
        condition = world.condition("VirtualMcp", "open", "Programmed")
        generation = world.api.get("VirtualMcp", "open")["metadata"]["generation"]
        assert not (condition["status"] == "True" and condition["observedGeneration"] == generation), condition
        time.sleep(0.2)
    held_back.thaw()
    world.wait_condition("VirtualMcp", "open", "Programmed", "True", seconds=10)


def test_given_a_replica_that_says_nothing_when_its_report_is_stale_then_programmed_is_unknown_and_ready_is_not_true(world, held_back):
    condition = world.wait_condition("VirtualMcp", "open", "Programmed", "Unknown", seconds=FRESH + 15)
    assert held_back.name in condition["message"]
    assert world.condition("VirtualMcp", "open", "Ready")["status"] != "True"


def test_given_a_document_that_a_replica_refuses_when_reported_then_its_resource_is_not_programmed(world):
    name = world.published()["metadata"]["name"]
    world.operators[0].stop()  # else it mends what the test breaks
    try:
        world.api.merge("ConfigMap", name, {"data": {"mac": "forged.AAAA"}}, "portcullis-publication")
        for each in world.replicas:
            wait_until(
                lambda each=each: [it["name"] for it in each.report().get("rejected", [])] == [name],
                seconds=15,
                what=f"{each.name} to report what it refuses",
            )
            assert "open" in each.routes(), "the last good version stays"
    finally:
        world.operators[0].launch()
        world.operators[0].wait()
    wait_until(lambda: not any(each.report()["rejected"] for each in world.replicas), seconds=20, what="the operator to mend it")
    world.wait_condition("VirtualMcp", "open", "Programmed", "True", seconds=20)


def test_given_a_replica_that_ends_in_order_when_it_is_gone_then_nobody_waits_for_it(world):
    last = world.replicas[2]
    last.stop()
    world.apply(limited("echo", "add"))
    world.wait_condition("VirtualMcp", "open", "Programmed", "True", seconds=FRESH + 15)
    last.start()
    world.wait_condition("VirtualMcp", "open", "Programmed", "True", seconds=20)
