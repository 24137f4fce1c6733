"""Which McpGateway is served, which namespaces it admits, and who has a slug. Creation time decides nothing of that."""

import time

import manifests as m
import pytest
from cluster_world import ClusterWorld
from processes import wait_until

GRACE = 2.5  # seconds after which what would have been served were served


@pytest.fixture(scope="module")
def world(folder):
    tenancy = [
        {"namespaces": ["default"], "everyone": True, "privateNetworks": m.LOOPBACK},
        {
            "namespaceSelector": {"matchLabels": {"example.com/tenant": "true"}},
            "everyone": True,
            "privateNetworks": m.LOOPBACK,
            "slugs": ["team-*", "shared"],
        },
    ]
    with ClusterWorld(folder, "open", tenancy=tenancy) as world:
        world.cluster.namespace("labelled", **{"example.com/tenant": "true"})
        world.cluster.namespace("other", **{"example.com/tenant": "true"})
        world.cluster.namespace("unlabelled")
        for namespace in ("labelled", "other", "unlabelled"):
            world.apply(m.origin("mine", world.origins["open"].url), namespace=namespace)
        yield world


def restart(world, gateway: str) -> None:
    operator = world.operators[0]
    operator.stop()
    operator.gateway = gateway
    operator.launch()
    operator.wait()


def other_gateway(name: str) -> dict:
    return {**m.gateway("https://other.example.com", m.oidc("https://other.example.com")), "metadata": {"name": name}}


def condition(world, kind: str, name: str, namespace: str, reason: str, type: str = "Accepted") -> dict:
    return world.wait_condition(kind, name, type, "False", reason, namespace=namespace, seconds=20)


def test_given_several_gateways_without_a_name_then_all_are_ambiguous_and_what_is_published_stays(world):
    restart(world, "default")
    world.wait_condition("McpGateway", "gateway", "Ready", "True")
    world.apply(other_gateway("a-second"))
    for name in ("gateway", "a-second"):
        condition(world, "McpGateway", name, "default", "Ambiguous")
    world.apply(m.virtual("meanwhile", "open"))
    time.sleep(GRACE)
    assert set(world.replicas[0].routes()) == {"open"}
    restart(world, "default/gateway")
    condition(world, "McpGateway", "a-second", "default", "NotSelected")
    world.wait_condition("McpGateway", "gateway", "Ready", "True")
    world.served("meanwhile")
    world.delete(m.virtual("meanwhile", "open"), other_gateway("a-second"))


def test_given_an_older_gateway_elsewhere_when_the_served_one_is_created_again_then_the_other_is_still_not_served(world):
    world.apply(other_gateway("gateway"), namespace="unlabelled")
    world.delete(world.resources[0])
    world.gone("open")
    time.sleep(GRACE)
    assert world.replicas[0].routes() == {}
    assert world.api.conditions("McpGateway", "gateway", "unlabelled") == {}
    world.apply(world.resources[0])
    world.served("open")
    world.delete(other_gateway("gateway"), namespace="unlabelled")


def test_given_namespaces_selected_by_label_then_labels_decide_at_once(world):
    world.apply(m.virtual("team-a", "mine"), namespace="unlabelled")
    time.sleep(GRACE)
    assert "team-a" not in world.replicas[0].routes()
    assert world.api.conditions("VirtualMcp", "team-a", "unlabelled") == {}
    world.cluster.kubectl("label", "namespace", "unlabelled", "example.com/tenant=true")
    world.served("team-a")
    world.cluster.kubectl("label", "namespace", "unlabelled", "example.com/tenant-")
    world.gone("team-a")
    world.delete(m.virtual("team-a", "mine"), namespace="unlabelled")


def test_given_slugs_of_a_tenancy_entry_then_others_are_refused(world):
    world.apply(m.virtual("finance", "mine"), namespace="labelled")
    told = condition(world, "VirtualMcp", "finance", "labelled", "SlugNotAllowed")
    assert "'finance'" in told["message"], told
    world.delete(m.virtual("finance", "mine"), namespace="labelled")


def test_given_an_older_claim_when_the_holder_is_created_again_or_invalid_then_the_slug_stays_with_its_namespace(world):
    world.apply(m.virtual("shared", "mine"), namespace="labelled")
    world.served("shared")
    world.apply(m.virtual("usurper", "mine", slug="shared"), namespace="other")
    condition(world, "VirtualMcp", "usurper", "other", "SlugTaken")
    # Invalid for a moment, and the operator starts again meanwhile.
    world.apply(m.virtual("shared", "nothing"), namespace="labelled")
    world.gone("shared")
    restart(world, "default/gateway")
    condition(world, "VirtualMcp", "shared", "labelled", "OriginNotFound", "ResolvedRefs")
    time.sleep(GRACE)
    assert "shared" not in world.replicas[0].routes()
    # Deleted: the pretender is the only one, and the slug is reserved. Also for another operator.
    world.delete(m.virtual("shared", "mine"), namespace="labelled")
    condition(world, "VirtualMcp", "usurper", "other", "SlugReserved")
    restart(world, "default/gateway")
    time.sleep(GRACE)
    assert "shared" not in world.replicas[0].routes()
    world.apply(m.virtual("shared", "mine"), namespace="labelled")
    world.served("shared")
    assert world.replicas[0].routes()["shared"]["name"] == "labelled/shared"
    world.delete(m.virtual("usurper", "mine"), namespace="other")
    world.delete(m.virtual("shared", "mine"), namespace="labelled")


def test_given_two_gateways_that_admit_a_namespace_then_the_owner_is_told(world):
    twin = other_gateway("gateway")
    twin["spec"]["tenancy"] = [{"namespaces": ["labelled", "unlabelled"]}]
    world.apply(twin, namespace="unlabelled")
    told = condition(world, "McpGateway", "gateway", "default", "AdmittedTwice")
    assert "'labelled'" in told["message"] and "'unlabelled'" not in told["message"], told
    world.delete(twin, namespace="unlabelled")
    world.wait_condition("McpGateway", "gateway", "Ready", "True")
    wait_until(lambda: "open" in world.replicas[0].routes(), what="the route to be served throughout")
