"""The operator among others that write: nothing is written twice, no field fights, every right that it has is one that it uses."""

import json
import time

import manifests as m
import pytest
import yaml
from cluster_parts import NAMESPACE, PUBLICATION
from cluster_world import ClusterWorld
from processes import wait_until

OPERATOR, DATA_PLANE = (f"system:serviceaccount:{NAMESPACE}:{name}" for name in ("portcullis-operator", "portcullis-data-plane"))
SLUGS = "portcullis-slugs"  # survives an uninstall, like the keys
KINDS = ("McpGateway", "OriginMcp", "VirtualMcp", "Team")


@pytest.fixture(scope="module")
def world(folder):
    with ClusterWorld(folder, "open", "keyed") as world:
        team = m.team("finance", {"virtualMcp": "open"}, groups=["finance"])
        world.apply(team)
        world.resources.append(team)
        for kind, name in (("McpGateway", "gateway"), ("OriginMcp", "keyed"), ("VirtualMcp", "open"), ("Team", "finance")):
            world.wait_condition(kind, name, "Ready", "True", seconds=30)
        yield world


def versions(world) -> dict[str, str]:
    """What the operator writes, except Leases, events and the record of freed slugs."""
    objects = [each for kind in KINDS for each in world.api.list(kind)]
    objects += world.api.list("ConfigMap", PUBLICATION) + world.api.list("Secret", PUBLICATION)
    return {each["metadata"]["uid"]: each["metadata"]["resourceVersion"] for each in objects if each["metadata"]["name"] != SLUGS}


def settled(world) -> dict[str, str]:
    """Once nothing has changed for three seconds."""
    last, since = versions(world), time.monotonic()

    def quiet():
        nonlocal last, since
        if (now := versions(world)) != last:
            last, since = now, time.monotonic()
        return time.monotonic() - since > 3 and last

    return wait_until(quiet, seconds=30, what="the operator to have nothing left to write")


def test_given_a_settled_cluster_when_time_passes_then_nobody_writes(world):
    settled(world)
    before = len(world.cluster.writes(OPERATOR)), len(world.cluster.writes(DATA_PLANE))
    time.sleep(6)
    assert (len(world.cluster.writes(OPERATOR)), len(world.cluster.writes(DATA_PLANE))) == before


def test_given_a_settled_cluster_when_the_operator_starts_again_then_it_writes_nothing(world):
    before = settled(world)
    writes = len(world.cluster.writes(OPERATOR))
    operator = world.operators[0]
    operator.kill()
    operator.launch()
    operator.wait()
    # It has looked at everything when it has done what comes last.
    world.apply(m.virtual("mark", "open"))
    world.served("mark", seconds=40)
    world.wait_condition("VirtualMcp", "mark", "Ready", "True", seconds=20)
    world.delete(m.virtual("mark", "open"))
    world.gone("mark")
    time.sleep(2)
    assert versions(world) == before
    touched = {event["objectRef"].get("name", "") for event in world.cluster.writes(OPERATOR)[writes:]}
    mine = {each["metadata"]["name"] for each in world.api.list("ConfigMap", PUBLICATION)}
    assert not touched & (mine - {"diagnoses", SLUGS}), "it wrote documents that had not changed"


def test_given_applied_manifests_when_reconciled_then_kubectl_diff_is_quiet_and_applying_again_changes_nothing(world, folder):
    settled(world)
    file = folder / "applied.yaml"
    file.write_text(yaml.safe_dump_all([each for each in world.resources if each["kind"] != "Secret"], sort_keys=False))
    world.cluster.kubectl("apply", "--server-side", "--force-conflicts", "-f", file)
    before = settled(world)
    diff = world.cluster.kubectl("diff", "--server-side", "-f", file, check=False)
    assert (diff.returncode, diff.stdout) == (0, ""), diff.stdout + diff.stderr
    done = world.cluster.kubectl("apply", "--server-side", "-f", file)
    assert "serverside-applied" in done.stdout
    time.sleep(1)
    assert versions(world) == before


def test_given_its_resources_when_reconciled_then_the_operator_owns_the_status_and_nothing_else(world):
    for kind in KINDS:
        for each in world.api.list(kind):
            for entry in each["metadata"]["managedFields"]:
                if entry["manager"] not in ("tests", "kubectl"):
                    assert entry.get("subresource") == "status", entry
                    assert set(entry["fieldsV1"]) == {"f:status"}, entry


def test_given_least_rights_when_everything_has_run_then_nothing_was_refused_to_operator_or_data_plane(world):
    refused = [
        (each["user"]["username"], each["verb"], each["requestURI"])
        for each in world.cluster.requests()
        if each.get("responseStatus", {}).get("code") == 403 and each["user"]["username"] in (OPERATOR, DATA_PLANE)
    ]
    assert refused == []


def test_given_least_rights_then_the_data_plane_reads_its_namespace_and_nothing_else(world):
    for event in world.cluster.requests(DATA_PLANE):
        about = event.get("objectRef", {})
        if about.get("resource") in ("configmaps", "secrets"):
            assert about["namespace"] == PUBLICATION
            assert event["verb"] in ("get", "list", "watch")
        else:
            assert (about.get("resource"), about.get("namespace")) == ("leases", PUBLICATION), event["requestURI"]


def test_given_secrets_that_do_not_opt_in_when_the_operator_watches_then_it_asks_for_the_others_alone(world):
    for event in world.cluster.requests(OPERATOR):
        about = event.get("objectRef", {})
        if about.get("resource") == "secrets" and about.get("namespace") != PUBLICATION:
            assert "labelSelector=portcullis.dev%2Fcredential" in event["requestURI"], event["requestURI"]


def test_given_what_is_published_then_all_but_the_keys_is_owned_by_one_object(world):
    owner = world.api.get("ConfigMap", "portcullis-owner", PUBLICATION)["metadata"]["uid"]
    objects = world.api.list("ConfigMap", PUBLICATION) + world.api.list("Secret", PUBLICATION)
    assert len(objects) > 8
    for each in objects:
        owners = [it["uid"] for it in each["metadata"].get("ownerReferences", [])]
        expected = [] if each["metadata"]["name"] in ("portcullis-owner", "portcullis-keys", SLUGS) else [owner]
        assert owners == expected, each["metadata"]["name"]
        assert not each["metadata"].get("finalizers")


def test_given_a_document_that_somebody_deleted_or_changed_then_the_operator_puts_it_right(world):
    settled(world)
    route = world.api.list("ConfigMap", PUBLICATION, "portcullis.dev/publication=route")[0]
    name = route["metadata"]["name"]
    world.api.delete("ConfigMap", name, PUBLICATION)
    again = wait_until(lambda: world.api.find("ConfigMap", name, PUBLICATION), what="the operator to write it again")
    before, after = (json.loads(each["data"]["document"]) for each in (route, again))
    assert after.pop("serial") > before.pop("serial"), "replicas accept a removed object only with a higher serial"
    assert after == before
    world.api.merge("ConfigMap", name, {"data": {"document": "{}"}}, PUBLICATION)
    document = lambda: json.loads(world.api.get("ConfigMap", name, PUBLICATION)["data"]["document"])  # noqa: E731
    wait_until(lambda: document() != {}, what="the operator to write it once more")
    assert {**document(), "serial": None} == {**after, "serial": None}


def test_given_the_keys_when_the_operator_starts_again_then_they_are_never_written_again(world):
    keys = world.api.get("Secret", "portcullis-keys", PUBLICATION)["metadata"]["resourceVersion"]
    for _ in range(2):
        world.operators[0].kill()
        world.operators[0].launch()
        world.operators[0].wait()
    time.sleep(3)
    assert world.api.get("Secret", "portcullis-keys", PUBLICATION)["metadata"]["resourceVersion"] == keys
