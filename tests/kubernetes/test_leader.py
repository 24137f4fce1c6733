"""Two operators: one leads and writes, the other knows all and waits; whoever goes is replaced."""

import httpx2
import manifests as m
import pytest
from cluster_parts import NAMESPACE, Operator
from cluster_world import ClusterWorld
from gateway import HOST
from processes import wait_until

LEASE = 15  # seconds after which a Lease that nobody renews is free


@pytest.fixture(scope="module")
def world(folder):
    with ClusterWorld(folder, "open", operators=2) as world:
        yield world


def leads(operator: Operator) -> bool:
    try:
        text = httpx2.get(f"http://{HOST}:{operator.port}/metrics", timeout=5, trust_env=False).text
    except httpx2.TransportError:
        return False
    return "\nportcullis_operator_leading 1\n" in text


def leader(world, seconds: float = 10) -> Operator:
    def one():
        found = [each for each in world.operators if leads(each)]
        assert len(found) < 2, "two operators lead"
        return found and found[0]

    return wait_until(one, seconds=seconds, what="an operator to lead")


def other(world, operator: Operator) -> Operator:
    return next(each for each in world.operators if each is not operator)


def holder(world) -> str:
    return world.api.get("Lease", "portcullis-operator", NAMESPACE)["spec"]["holderIdentity"]


def test_given_two_operators_when_both_run_then_one_leads_and_both_are_ready(world):
    first = leader(world)
    assert holder(world) == first.name
    for each in world.operators:
        each.wait()
        assert httpx2.get(f"http://{HOST}:{each.port}/readyz", trust_env=False).status_code == 200
        assert httpx2.get(f"http://{HOST}:{each.port}/metrics", headers={"Origin": "https://example.com"}, trust_env=False).status_code == 403


def test_given_a_leader_that_is_asked_to_end_when_it_is_gone_then_the_other_leads_at_once_and_writes_nothing_twice(world):
    first = leader(world)
    second = other(world, first)
    documents = {each["metadata"]["name"]: each["metadata"]["resourceVersion"] for each in world.api.list("ConfigMap", "portcullis-publication")}
    first.stop()
    wait_until(lambda: leads(second), seconds=6, what="the other to lead: the Lease was given up")
    assert holder(world) == second.name
    world.apply(m.virtual("after-stop", "open"))
    world.served("after-stop")
    now = {each["metadata"]["name"]: each["metadata"]["resourceVersion"] for each in world.api.list("ConfigMap", "portcullis-publication")}
    assert {name: now.get(name) for name in documents if name != "diagnoses"} == {name: at for name, at in documents.items() if name != "diagnoses"}
    first.launch()
    first.wait()
    assert not leads(first)


def test_given_a_leader_that_is_killed_when_its_lease_has_run_out_then_the_other_leads(world):
    first = leader(world)
    second = other(world, first)
    first.kill()
    wait_until(lambda: leads(second), seconds=LEASE + 6, what="the other to lead: the Lease ran out")
    world.apply(m.virtual("after-kill", "open"))
    world.served("after-kill")
    first.launch()
    first.wait()
    assert not leads(first)
    world.delete(m.virtual("after-kill", "open"))
    world.gone("after-kill")
