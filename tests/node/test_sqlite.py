"""The chart with SQLite: one replica, a volume that outlives it, and never two processes on one file."""

import os
import threading

import pytest
from charts import NAMESPACE, RELEASE
from node_world import NodeWorld
from processes import wait_until
from raw import LEGACY

DATABASE = {"kind": "sqlite", "sqlite": {"storageClassName": "by-hand", "size": "1Gi"}}
SHUTDOWN = {"shutdown": {"delaySeconds": 1, "drainSeconds": 5}}


@pytest.fixture(scope="module")
def world(folder):
    with NodeWorld(folder, database=DATABASE, dataPlane=SHUTDOWN) as world:
        world.node.api.create(volume(world), NAMESPACE)
        world.install()
        world.serve()
        yield world


def volume(world: NodeWorld) -> dict:
    """A folder of the node's. Nobody's group is set on such a volume, so that it must be the program's from the beginning."""
    path = world.folder / "volume"
    path.mkdir()
    os.chown(path, 65532, 65532)
    spec = {"capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"], "storageClassName": "by-hand", "hostPath": {"path": str(path)}}
    return {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": "database"}, "spec": spec}


def test_given_sqlite_when_the_pod_is_replaced_then_tokens_and_sessions_are_still_good(world):
    caller = world.caller("open", era=LEGACY)
    assert len(world.pods("data-plane")) == 1
    world.delete(world.pods("data-plane")[0]["metadata"]["name"])
    world.rolled_out()
    world.reachable()
    assert caller.call("echo", text="after").result["content"][0]["text"] == "after"


def test_given_sqlite_when_upgraded_then_there_are_never_two_pods(world):
    most, over = [0], threading.Event()

    def count():
        while not over.is_set():
            running = world.node.json("pods", "--namespace", NAMESPACE, "--selector", "app.kubernetes.io/component=data-plane")["items"]
            most[0] = max(most[0], len([each for each in running if each["status"]["phase"] == "Running"]))

    watcher = threading.Thread(target=count)
    watcher.start()
    world.helm("upgrade", "two")
    world.rolled_out()
    world.reachable()
    over.set()
    watcher.join()
    assert most == [1]


def test_given_sqlite_when_uninstalled_then_the_claim_stays_and_serves_the_next_installation(world):
    caller = world.caller("open", era=LEGACY)
    world.node.helm("uninstall", RELEASE, "--namespace", NAMESPACE, "--wait")
    wait_until(lambda: not world.pods("data-plane"), seconds=60, what="the pod to go")
    claims = world.node.json("persistentvolumeclaims", "--namespace", NAMESPACE)["items"]
    assert [each["metadata"]["name"] for each in claims] == ["portcullis-database"]
    world.install()
    world.rolled_out()
    world.reachable()
    assert caller.call("echo", text="again").result["content"][0]["text"] == "again"
