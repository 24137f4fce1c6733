"""The drill of docs/backup.md: keys and database into a fresh cluster; people, clients and connected accounts go on."""

import json
import os
import subprocess

import yaml
from cluster import Cluster
from cluster_parts import OPERATOR, PUBLICATION, Operator, Replica
from cluster_world import ClusterWorld
from postgres import Postgres
from raw import LEGACY


def test_given_keys_and_database_when_restored_into_a_fresh_cluster_then_clients_and_connections_go_on(folder):
    with Postgres(folder / "postgres", auth="md5") as database, ClusterWorld(folder, "open", "accounts", database=database.url) as world:
        browser = world.browser("ana")
        client = world.client("typescript-sdk", "accounts", browser)
        client.connect()
        assert client.text("whoami") == "ana"
        oauth = world.oauth("accounts")
        grant = oauth.sign_in(browser)
        session = world.caller("accounts", browser, era=LEGACY)
        assert session.call("whoami").status == 200
        pages, asked = len(browser.seen()), len(world.authorization.requests())

        saved = back_up(world, database)
        lose_everything(world, database)
        with Postgres(folder / "postgres-restored", auth="md5") as fresh:
            restore(world, fresh, saved, folder)
            assert client.text("whoami") == "ana", "the client had to begin anew"
            assert session.call("whoami").result["content"][0]["text"] == "ana", "the session was lost"
            assert world.caller("accounts", token=grant.access_token).call("whoami").status == 200
            assert oauth.refresh(grant.refresh_token).status_code == 200
            assert len(browser.seen()) == pages, "somebody had to sign in or to connect again"
            later = world.authorization.requests()[asked:]
            assert not [each for each in later if each["url"].startswith(("/auth", "/reg"))], "an account was connected again"

            # What is made after the restore under an old name inherits nothing.
            again = next(each for each in world.resources if each["kind"] == "VirtualMcp" and each["metadata"]["name"] == "accounts")
            world.delete(again)
            world.gone("accounts")
            world.apply(again)
            world.served("accounts")
            assert world.caller("accounts", token=grant.access_token).call("whoami").status == 401
            client.stop()


def back_up(world, database) -> dict[str, str]:
    """What the page says to keep."""
    kubectl = world.cluster.kubectl
    return {
        "keys": kubectl("get", "secret", "-n", PUBLICATION, "portcullis-keys", "-o", "yaml").stdout,
        "resources": kubectl("get", "mcpgateways,originmcps,virtualmcps,teams", "-A", "-o", "yaml").stdout,
        "secrets": kubectl("get", "secrets", "-A", "-l", "portcullis.dev/credential=true", "-o", "yaml").stdout,
        "database": database.dump(),
    }


def lose_everything(world, database) -> None:
    for each in (*world.replicas, *world.operators):
        each.stop()
    world.cluster.stop()
    database.stop()


def restore(world, database, saved: dict[str, str], folder) -> None:
    """The page's steps, in a cluster that has never seen any of it."""
    database.load(saved["database"])
    world.folder = folder / "restored"
    world.cluster = Cluster(world.folder)
    world.cluster.start()
    world.prepare()
    for what in ("keys", "secrets", "resources"):
        world.cluster.kubectl("apply", "--server-side", "-f", "-", input=without_identity(saved[what]))
    backup = folder / "resources.yaml"
    backup.write_text(saved["resources"])
    environment = {**os.environ, "KUBECONFIG": str(world.cluster.kubeconfig)}
    subprocess.run([OPERATOR, "adopt", backup], env=environment, check=True, timeout=60, stdin=subprocess.DEVNULL)
    world.operators = [Operator(world.folder, world.cluster)]
    world.replicas = [Replica(world.folder, world.cluster, "restored-0", world.balancer.port, database.url)]
    for each in (*world.operators, *world.replicas):
        each.launch()
    world.replicas[0].wait(40)
    world.balance()
    for slug in ("open", "accounts"):
        world.served(slug)


def without_identity(text: str) -> str:
    """What a cluster adds of its own, taken away, as the page's `jq` does."""
    found = yaml.safe_load(text)
    for each in found.get("items", [found]):
        each.pop("status", None)
        for field in ("uid", "resourceVersion", "creationTimestamp", "generation", "managedFields", "ownerReferences"):
            each["metadata"].pop(field, None)
    return json.dumps(found)
