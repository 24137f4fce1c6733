"""The chart with keys that HashiCorp Vault encrypts: pods sign in there as their service accounts (docs/keys.md)."""

import pytest
from charts import NAMESPACE
from cluster_rings import stored
from node_world import NodeWorld
from processes import wait_until
from raw import LEGACY
from vault import ROLE, Vault

CA = "vault-ca"
SHUTDOWN = {"shutdown": {"delaySeconds": 1, "drainSeconds": 5}}


@pytest.fixture(scope="module")
def world(folder):
    with NodeWorld(folder, dataPlane=SHUTDOWN) as world, Vault(folder / "vault", world.node.address(6)) as world.vault:
        world.vault.trust(world.node, NAMESPACE, "portcullis-operator", "portcullis-data-plane")
        data = {"ca.crt": world.vault.authority.file.read_text()}
        world.node.api.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": CA}, "data": data}, NAMESPACE)
        transit = {"address": world.vault.base, "kubernetes": {"role": ROLE}, "caConfigMap": {"name": CA}}
        world.values["keys"] = {"encryption": "transit", "transit": transit}
        world.install()
        world.serve()
        yield world


def ready(pod: dict) -> bool:
    return any(each["type"] == "Ready" and each["status"] == "True" for each in pod["status"].get("conditions", []))


def test_given_vault_when_installed_then_the_keys_are_in_no_secret(world):
    assert set(stored(world.node)) == {"transit"}
    assert world.caller("open").call("echo", text="x").result["content"][0]["text"] == "x"


def test_given_vault_when_it_is_sealed_then_pods_serve_on_and_a_new_one_waits(world):
    caller = world.caller("open", era=LEGACY)
    world.vault.seal()
    old = [each["metadata"]["name"] for each in world.pods("data-plane")]
    world.delete(old[0])
    assert caller.call("echo", text="sealed").result["content"][0]["text"] == "sealed"
    wait_until(lambda: "Vault is sealed" in world.logs("data-plane"), seconds=60, what="the new pod to say what it waits for")
    new = [each for each in world.pods("data-plane") if each["metadata"]["name"] not in old]
    assert [ready(each) for each in new] == [False]
    world.vault.unseal()
    world.rolled_out("data-plane")
    assert caller.call("echo", text="unsealed").result["content"][0]["text"] == "unsealed"
