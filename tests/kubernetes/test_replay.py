"""Published documents that are written again: valid by their MAC, but older than what the replicas accepted."""

import json
import shutil

import manifests as m
import pytest
from cluster_parts import PUBLICATION
from cluster_world import ClusterWorld
from processes import wait_until


@pytest.fixture(scope="module")
def world(folder):
    with ClusterWorld(folder, "open") as world:
        yield world


@pytest.fixture
def no_operator(world):
    world.operators[0].stop()
    yield
    if world.operators[0].process.popen.poll() is not None:
        world.operators[0].launch()
        world.operators[0].wait()


def again(found: dict) -> dict:
    """The object as somebody with write access to ConfigMaps applies it again."""
    metadata = {key: found["metadata"][key] for key in ("name", "labels", "annotations")}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": found["data"]}


def serial(found: dict) -> int:
    return json.loads(found["data"]["document"])["serial"]


def suspended(replica) -> bool | None:
    route = replica.routes().get("open")
    return route and route["suspended"]


def edit(world, suspend: bool) -> None:
    world.api.merge("VirtualMcp", "open", {"spec": {"suspend": suspend}})
    wait_until(lambda: suspended(world.replicas[0]) is suspend, what=f"the route to be served with suspend: {suspend}")


def replayed(world) -> dict | None:
    rejected = world.replicas[0].report().get("rejected", [])
    return next((each for each in rejected if each["reason"].startswith("Replayed")), None)


def healed(world, suspend: bool) -> None:
    wait_until(lambda: suspended(world.replicas[0]) is suspend, seconds=40, what=f"the route to be served with suspend: {suspend}")
    wait_until(lambda: not replayed(world), seconds=40, what="nothing to be rejected")
    world.wait_condition("VirtualMcp", "open", "Programmed", "True", seconds=40)


def test_given_a_document_then_it_names_the_installation_and_its_serial_rises_with_each_change(world):
    before = world.published()
    edit(world, True)
    after = world.published()
    documents = [json.loads(each["data"]["document"]) for each in (before, after)]
    assert len({each["installation"] for each in documents}) == 1
    assert documents[1]["serial"] > documents[0]["serial"] > 1_700_000_000_000
    edit(world, False)


def test_given_no_operator_when_an_older_document_is_applied_then_the_current_one_stays(world, no_operator):
    world.operators[0].launch()
    world.operators[0].wait()
    old = world.published()
    edit(world, True)
    world.operators[0].stop()
    world.api.apply(again(old), PUBLICATION)
    rejection = wait_until(lambda: replayed(world), what="the replica to report the replay")
    assert rejection["name"] == old["metadata"]["name"]
    assert suspended(world.replicas[0]) is True
    # The operator writes the current document again.
    world.operators[0].launch()
    world.operators[0].wait()
    healed(world, True)
    edit(world, False)


def test_given_a_new_pod_when_an_older_document_is_applied_then_it_is_not_served(world, no_operator):
    """The new pod has the database and nothing else: no snapshot, nothing in memory."""
    world.operators[0].launch()
    world.operators[0].wait()
    old, replica = world.published(), world.replicas[0]
    edit(world, True)
    world.operators[0].stop()
    replica.stop()
    (replica.state / "snapshot.sealed").unlink()
    world.api.apply(again(old), PUBLICATION)
    replica.launch()
    replica.wait()
    wait_until(lambda: replayed(world), what="the replica to report the replay")
    assert "open" not in replica.routes()
    world.operators[0].launch()
    world.operators[0].wait()
    healed(world, True)
    edit(world, False)


def test_given_a_deleted_document_when_it_is_applied_again_then_only_the_operator_brings_it_back(world, no_operator):
    found, replica = world.published(), world.replicas[0]
    world.api.delete("ConfigMap", found["metadata"]["name"], PUBLICATION)
    world.gone("open")
    world.api.apply(again(found), PUBLICATION)
    wait_until(lambda: replayed(world), what="the replica to report the replay")
    assert "open" not in replica.routes()
    replica.stop()
    (replica.state / "snapshot.sealed").unlink(missing_ok=True)
    replica.launch()
    replica.wait()
    wait_until(lambda: replayed(world), what="the replica to report the replay again")
    assert "open" not in replica.routes()
    world.operators[0].launch()
    world.operators[0].wait()
    world.served("open", seconds=40)
    healed(world, False)
    assert serial(world.published()) > serial(found)


def test_given_an_operator_when_an_older_document_of_the_same_content_is_applied_then_it_is_written_above_the_accepted_serial(world):
    old = world.published()
    edit(world, True)
    edit(world, False)
    accepted = serial(world.published())
    world.api.apply(again(old), PUBLICATION)
    wait_until(lambda: serial(world.published()) >= accepted, seconds=30, what="the operator to write the document again")
    healed(world, False)


def test_given_etcd_restored_from_a_backup_then_nothing_old_is_served_until_the_operator_writes_it_again(world):
    cluster, replica = world.cluster, world.replicas[0]
    etcd, backup = cluster.folder / "etcd", world.folder / "etcd-backup"

    def with_etcd_stopped(action) -> None:
        cluster.stop_api_server()
        cluster.etcd.stop()
        action()
        cluster.etcd = None
        cluster.start()

    with_etcd_stopped(lambda: shutil.copytree(etcd, backup))
    world.wait_condition("VirtualMcp", "open", "Programmed", "True", seconds=60)
    edit(world, True)
    world.wait_condition("VirtualMcp", "open", "Programmed", "True", seconds=60)
    world.operators[0].stop()

    def restore():
        shutil.rmtree(etcd)
        shutil.copytree(backup, etcd)

    with_etcd_stopped(restore)
    replica.stop()
    replica.launch()
    replica.wait(40)
    wait_until(lambda: replayed(world), seconds=40, what="the replica to report the restored document")
    assert "open" not in replica.routes(), "the restored document is not suspended"
    world.operators[0].launch()
    world.operators[0].wait()
    world.served("open", seconds=60)
    healed(world, False)
