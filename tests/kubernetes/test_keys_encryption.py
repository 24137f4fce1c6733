"""The key rings of a cluster, encrypted by a transit service (docs/keys.md)."""

import json

from cluster_rings import ask, published, stored
from cluster_world import ClusterWorld
from peers import Transit
from processes import wait_until


def test_given_a_transit_service_when_the_keys_are_kept_with_it_then_the_secret_alone_is_worth_nothing(folder):
    with Transit(folder / "transit") as transit:
        (folder / "jwt").write_text(transit.jwt)
        arguments = transit.arguments("--transit-kubernetes-role", transit.role, "--transit-service-account-token", folder / "jwt")
        world = ClusterWorld(folder / "encrypted", "open")
        for each in (*world.operators, *world.replicas):
            each.arguments = arguments
        with world:
            assert set(stored(world)) == {"transit"}
            replica = world.replicas[0]
            assert json.loads((replica.state / "keys.json").read_text()) == stored(world), "its copy is encrypted, too"
            caller = world.caller("open", world.browser("ana"))
            before = published(replica)
            ask(world, "one")
            wait_until(lambda: len(published(replica)) == 2 and published(replica)[1:] == before, seconds=60, what="the rotation")
            assert set(stored(world)) == {"transit"}
            transit.lever("sealed", sealed=True)
            assert caller.call("echo", text="x").status == 200, "who runs needs no service"
            replica.stop()
            replica.launch()
            wait_until(lambda: "Vault is sealed" in replica.log(), seconds=20, what="the replica to say what it waits for")
            assert not replica.ready()
            transit.lever("sealed", sealed=False)
            replica.wait(30)
            world.served("open")
            assert world.caller("open", world.browser("ana")).call("echo", text="x").status == 200
