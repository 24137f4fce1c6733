"""The chart on a whole node: installed, upgraded, rolled back and uninstalled while clients work through the Service."""

import os
import signal
import time
from threading import Thread

import httpx2
import pytest
from charts import NAMESPACE, PUBLICATION, RELEASE
from node_world import NodeWorld
from processes import wait_until
from raw import LEGACY, MODERN
from traffic import Traffic

# Short enough for a test, long enough for kube-proxy.
SHUTDOWN = {"dataPlane": {"shutdown": {"delaySeconds": 4, "drainSeconds": 20}}}


@pytest.fixture(scope="module")
def world(folder):
    with NodeWorld(folder, **SHUTDOWN) as world:
        world.notes = world.install()
        world.serve()
        yield world


class Clients:
    """Four clients without a pause: both eras, and one with an account at the origin."""

    def __init__(self, world: NodeWorld):
        self.world = world
        token = world.oauth("open").sign_in(world.browser()).access_token
        self.callers = [world.caller("open", token=token, era=era) for era in (MODERN, MODERN, LEGACY, LEGACY)]
        self.traffic: list[Traffic] = []

    def __enter__(self):
        self.traffic = [Traffic(each) for each in self.callers]
        time.sleep(0.5)
        return self

    def __exit__(self, *_):
        for each in self.traffic:
            each.stop()

    def wrong(self) -> list:
        return [each for traffic in self.traffic for each in traffic.wrong]

    @property
    def lost(self) -> int:
        return sum(each.lost for each in self.traffic)

    @property
    def good(self) -> int:
        return sum(each.good for each in self.traffic)

    def busiest(self) -> str:
        """The data-plane pod that has answered most of the last calls."""
        names = [each["metadata"]["name"] for each in self.world.pods("data-plane")]
        calls = {name: self.world.calls(name) for name in names}
        busiest = max(calls, key=calls.get)
        assert calls[busiest] > 0, calls
        return busiest

    def settle(self) -> None:
        """Until each has had answers again."""
        before = [each.good for each in self.traffic]
        wait_until(lambda: all(each.good > count for each, count in zip(self.traffic, before, strict=True)), seconds=10, what="answers")


def test_given_a_cluster_when_installed_then_it_runs_as_the_notes_say(world):
    assert "2 operators, 3 data-plane replica(s), PostgreSQL" in world.notes
    assert len(world.pods("operator")) == 2
    assert len(world.pods("data-plane")) == 3
    assert len(world.node.api.list("Lease", PUBLICATION, f"portcullis.dev/replica-of={RELEASE}")) == 3


@pytest.mark.parametrize("name", ["python-mcp", "typescript-sdk"])
def test_given_an_installation_when_a_real_client_comes_through_the_service_then_it_signs_in_and_calls(world, name):
    client = world.client(name, "accounts")
    client.connect()
    assert client.text("whoami") == "ana"
    client.stop()


def test_given_an_installation_when_helm_tests_it_then_it_passes(world):
    shown = world.node.helm("test", RELEASE, "--namespace", NAMESPACE, "--timeout", "60s").stdout
    assert "Succeeded" in shown, shown


@pytest.mark.parametrize("number", range(3))
def test_given_traffic_when_a_data_plane_pod_is_deleted_then_no_call_fails(world, number):
    world.rolled_out("data-plane")
    with Clients(world) as clients:
        world.delete(clients.busiest())
        world.rolled_out("data-plane")
        clients.settle()
    assert (clients.lost, clients.wrong()) == (0, [])
    assert clients.good > 200


def test_given_calls_that_take_long_when_all_data_plane_pods_are_deleted_at_once_then_each_is_answered(world):
    world.rolled_out("data-plane")
    token = world.oauth("open").sign_in(world.browser()).access_token
    callers = [world.caller("open", token=token, era=era) for era in (MODERN, LEGACY) * 3]
    answers = []
    # Longer than the delay before a pod takes no more connections, shorter than the drain after that.
    threads = [Thread(target=lambda each=each: answers.append(each.call("slowly", steps=32, seconds=0.25))) for each in callers]
    for each in threads:
        each.start()
    time.sleep(0.5)
    started = time.monotonic()
    world.delete(*(each["metadata"]["name"] for each in world.pods("data-plane")), "--wait=false")
    for each in threads:
        each.join(30)
    assert time.monotonic() - started > SHUTDOWN["dataPlane"]["shutdown"]["delaySeconds"] + 2
    assert [each.result.get("isError", False) for each in answers] == [False] * len(callers)
    world.rolled_out("data-plane")


def test_given_traffic_when_the_leading_operator_is_deleted_then_no_call_fails_and_another_leads(world):
    leader = world.leader()
    with Clients(world) as clients:
        world.delete(leader)
        world.rolled_out("operator")
        wait_until(lambda: world.leader() != leader, seconds=40, what="another operator to lead")
        clients.settle()
    assert (clients.lost, clients.wrong()) == (0, [])


def test_given_traffic_when_a_data_plane_pod_is_deleted_by_force_then_only_calls_in_flight_fail(world):
    """Each client has one call in flight at a time: it loses at most that, and goes on with the same token and session."""
    world.rolled_out("data-plane")
    with Clients(world) as clients:
        world.delete(clients.busiest(), "--force", "--grace-period=0")
        world.rolled_out("data-plane")
        clients.settle()
    assert clients.wrong() == []
    assert all(each.lost <= 1 for each in clients.traffic), [each.lost for each in clients.traffic]


def test_given_an_account_at_the_origin_when_every_pod_was_replaced_then_the_connection_is_still_there(world):
    caller = world.caller("accounts", era=LEGACY)
    assert caller.call("whoami").result["content"][0]["text"] == "ana"
    for each in world.pods("data-plane"):
        world.delete(each["metadata"]["name"], "--force", "--grace-period=0")
    world.rolled_out()
    world.reachable()  # all were away at once
    assert caller.call("whoami").result["content"][0]["text"] == "ana"


def test_given_traffic_when_upgraded_and_rolled_back_then_no_call_fails(world):
    world.rolled_out()
    with Clients(world) as clients:
        world.helm("upgrade", "two", operator={"log": "debug"})
        world.rolled_out()
        assert {each["spec"]["containers"][0]["image"].rpartition(":")[2] for each in world.pods("data-plane")} == {"two"}
        clients.settle()
        upgraded = (clients.lost, clients.wrong())
        world.node.helm("rollback", RELEASE, "--namespace", NAMESPACE)
        world.rolled_out()
        assert {each["spec"]["containers"][0]["image"].rpartition(":")[2] for each in world.pods("data-plane")} == {"one"}
        clients.settle()
    assert upgraded == (0, [])
    assert (clients.lost, clients.wrong()) == (0, [])


def test_given_no_api_server_when_a_container_of_the_data_plane_dies_then_it_comes_back_serving(world):
    world.rolled_out()
    caller = world.caller("open", era=LEGACY)
    (pod, *_) = world.pods("data-plane")
    container = pod["status"]["containerStatuses"][0]["containerID"].removeprefix("containerd://")
    with Clients(world) as clients:
        world.node.kill("kube-apiserver")
        try:
            before = world.node.pid(container)
            os.kill(before, signal.SIGKILL)
            ready = f"http://{pod['status']['podIP']}:9090/readyz"
            wait_until(lambda: not answers(ready), seconds=10, what="the container to be gone")
            wait_until(lambda: answers(ready), seconds=40, what="the container to serve again without an API server")
            served = httpx2.get(ready.replace("readyz", "debug/routes"), trust_env=False).json()["routes"]
            assert {each["slug"] for each in served} == {"open", "accounts"}
            clients.settle()
            assert caller.call("echo", text="no API server").status == 200
        finally:
            world.node.revive("kube-apiserver")
        clients.settle()
    assert clients.wrong() == []
    world.rolled_out()


def answers(url: str) -> bool:
    try:
        return httpx2.get(url, trust_env=False, timeout=2).status_code == 200
    except httpx2.TransportError:
        return False


def test_given_an_installation_when_uninstalled_then_definitions_resources_keys_and_database_stay_and_the_rest_goes(world):
    before = world.published()
    assert len(before) > 4
    keys = before["Secret/portcullis-keys"]["data"]
    caller = world.caller("open", era=LEGACY)

    world.node.helm("uninstall", RELEASE, "--namespace", NAMESPACE, "--wait")
    wait_until(lambda: set(world.published()) == {"Secret/portcullis-keys"}, seconds=60, what="what was published to go")
    assert world.published()["Secret/portcullis-keys"]["data"] == keys
    assert len(world.node.json("customresourcedefinitions", "--selector", "app.kubernetes.io/part-of=portcullis")["items"]) == 4
    assert {each["metadata"]["name"] for each in world.node.api.list("VirtualMcp")} == {"open", "accounts"}
    assert int(world.database.query("SELECT count(*) FROM grants")) > 0
    kinds = "all,configmaps,secrets,serviceaccounts,roles,rolebindings,networkpolicies,poddisruptionbudgets,leases,ingresses,persistentvolumeclaims"
    try:
        wait_until(lambda: not left(world, kinds), seconds=60, what="pods and Leases to go")
    except TimeoutError:
        assert left(world, kinds) == []
    mine = f"app.kubernetes.io/instance={RELEASE}"
    assert world.node.json("clusterroles,clusterrolebindings", "--selector", mine)["items"] == []
    assert world.node.json("roles,rolebindings", "--namespace", PUBLICATION)["items"] == []

    world.install()
    world.rolled_out()
    world.reachable()
    assert caller.call("echo", text="as if nothing had been").result["content"][0]["text"] == "as if nothing had been"


def left(world: NodeWorld, kinds: str) -> list[str]:
    """What is in the release's namespace beyond what the test and Kubernetes itself brought."""
    brought = {"kube-root-ca.crt", "default", "portcullis-database"}
    found = [f"{each['kind']}/{each['metadata']['name']}" for each in world.node.json(kinds, "--namespace", NAMESPACE)["items"]]
    return [each for each in found if each.partition("/")[2] not in brought and f"sh.helm.release.v1.{RELEASE}-crds." not in each]
