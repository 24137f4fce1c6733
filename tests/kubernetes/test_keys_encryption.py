"""The key rings of a cluster, encrypted by HashiCorp Vault, which lets operator and replicas in as service accounts of that cluster and
has their tokens reviewed by its API server (docs/keys.md)."""

import json

import pytest
from cluster_parts import NAMESPACE
from cluster_rings import ask, published, stored
from cluster_world import ClusterWorld
from processes import wait_until
from vault import AUDIENCE, ROLE, Vault

OPERATOR, DATA_PLANE, STRANGER = "portcullis-operator", "portcullis-data-plane", "stranger"
FOR_API_SERVER = "for-the-api-server"


class EncryptedWorld(ClusterWorld):

    def __init__(self, folder, vault: Vault):
        super().__init__(folder, "open")
        self.vault = vault
        for each, account in ((self.operators[0], OPERATOR), (self.replicas[0], DATA_PLANE)):
            each.arguments = self.login(account)

    def login(self, file: str) -> list:
        """What says to sign in with the token in this file."""
        return self.vault.arguments("--transit-kubernetes-role", ROLE, "--transit-service-account-token", self.folder / file)

    def prepare(self) -> None:
        super().prepare()
        self.apply({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": STRANGER}}, namespace=NAMESPACE)
        self.vault.trust(self.cluster, NAMESPACE, OPERATOR, DATA_PLANE)
        for account in (OPERATOR, DATA_PLANE, STRANGER):
            (self.folder / account).write_text(self.api.token(account, NAMESPACE, audience=AUDIENCE))
        (self.folder / FOR_API_SERVER).write_text(self.api.token(DATA_PLANE, NAMESPACE))


@pytest.fixture(scope="module")
def world(folder):
    with Vault(folder / "vault") as vault, EncryptedWorld(folder / "encrypted", vault) as world:
        yield world


@pytest.mark.requirement("advisory.keys-at-rest")
def test_given_vault_when_the_keys_are_kept_with_it_then_the_secret_alone_is_worth_nothing(world):
    assert set(stored(world)) == {"transit"}
    replica = world.replicas[0]
    assert json.loads((replica.state / "keys.json").read_text()) == stored(world), "its copy is encrypted, too"
    before = published(replica)
    ask(world, "one")
    wait_until(lambda: len(published(replica)) == 2 and published(replica)[1:] == before, seconds=60, what="the rotation")
    assert set(stored(world)) == {"transit"}


@pytest.mark.requirement("advisory.keys-at-rest")
def test_given_vault_when_it_is_sealed_then_what_runs_goes_on_and_what_starts_waits(world):
    replica, caller = world.replicas[0], world.caller("open", world.browser("ana"))
    world.vault.seal()
    assert caller.call("echo", text="x").status == 200, "who runs needs no service"
    replica.stop()
    replica.launch()
    wait_until(lambda: "Vault is sealed" in replica.log(), seconds=20, what="the replica to say what it waits for")
    assert not replica.ready()
    world.vault.unseal()
    replica.wait(30)
    world.served("open")
    assert world.caller("open", world.browser("ana")).call("echo", text="x").status == 200


@pytest.mark.requirement("advisory.keys-at-rest")
@pytest.mark.parametrize(("file", "says"), [(STRANGER, "service account name not authorized"), (FOR_API_SERVER, "invalid audience")])
def test_given_vault_when_a_token_is_anothers_or_for_another_audience_then_it_lets_nobody_in(world, file, says):
    replica = world.replicas[0]
    replica.stop()
    replica.arguments = world.login(file)
    replica.launch()
    wait_until(lambda: says in replica.log(), seconds=20, what="the replica to say why it is refused")
    assert not replica.ready()
    assert (world.folder / file).read_text() not in replica.log()
