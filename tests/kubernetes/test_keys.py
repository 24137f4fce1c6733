"""The key rings of a cluster: rotated on request under traffic, each step when every replica is there, also with one that lags and with
an operator that is killed (docs/keys.md)."""

import base64
import time

import pytest
from cluster_parts import PUBLICATION
from cluster_rings import ask, published, put, stored
from cluster_world import ClusterWorld
from postgres import Postgres
from processes import wait_until
from raw import LEGACY
from rings import DAY, MONTH, aged, ids, kid
from traffic import Traffic


@pytest.fixture(scope="module")
def database(folder):
    with Postgres(folder / "postgres", auth="md5") as database:
        yield database


@pytest.fixture(scope="module")
def world(folder, database):
    with ClusterWorld(folder / "world", "open", "keyed", "accounts", replicas=3, operators=2, database=database.url) as world:
        world.wait_condition("McpGateway", "gateway", "Ready", "True", seconds=30)
        yield world


def wait_rings(world, condition, what: str, seconds: float = 60) -> dict:
    def there():
        document = stored(world)
        return document if condition(document) else None

    return wait_until(there, seconds=seconds, what=what)


def promoted(world, before: dict, seconds: float = 60) -> dict:
    return wait_rings(world, lambda it: it["signing"][0]["id"] != before["signing"][0]["id"], "the new keys to be promoted", seconds)


def retired(world, seconds: float = 60) -> dict:
    def over(document):
        return all("retiredAt" in entry for ring in ("signing", "sealing", "mac") for entry in document[ring][1:])

    return wait_rings(world, over, "every replica to have stopped using the old keys", seconds)


def macs(world) -> set[str]:
    """The keys that vouch for what is published."""
    objects = [each["data"]["mac"] for each in world.api.list("ConfigMap", PUBLICATION) if "mac" in each.get("data", {})]
    for each in world.api.list("Secret", PUBLICATION):
        if "mac" in each["data"]:
            objects.append(base64.b64decode(each["data"]["mac"]).decode())
    return {mac.split(".")[0] for mac in objects}


def test_given_traffic_on_three_replicas_when_asked_to_rotate_then_every_replica_moves_and_nobody_notices(world):
    browser = world.browser("ana")
    oauth = world.oauth("accounts")
    grant = oauth.sign_in(browser)
    callers = [world.at(replica, world.caller("accounts", token=grant.access_token)) for replica in world.replicas]
    assert [each.call("whoami").result["content"][0]["text"] for each in callers] == ["ana"] * 3
    before = stored(world)
    traffic = [Traffic(world.at(replica, world.caller("open", browser, era=LEGACY))) for replica in world.replicas]

    ask(world, "one")
    after = promoted(world, before)
    assert (ids(after, "signing")[1], after["honoured"]) == (before["signing"][0]["id"], "one")
    retired(world)
    new, old = ids(after, "signing")
    assert kid(grant.access_token) == old
    for replica in world.replicas:
        assert published(replica) == [new, old]
    wait_until(lambda: macs(world) == {after["mac"][0]["id"]}, seconds=20, what="everything to be published under the new key")
    for replica in world.replicas:
        under = after["sealing"][0]["id"]
        wait_until(lambda replica=replica, under=under: replica.report().get("sealedUnder") == under, seconds=30, what=f"{replica.name} to find all sealed anew")
    resealed = sum(int(line.split()[1]) for each in world.replicas for line in each.admin("/metrics").text.splitlines() if line.startswith("portcullis_resealed_total "))
    assert resealed >= 1
    for each in traffic:
        each.stop()
        assert (each.wrong, each.lost) == ([], 0) and each.good
    assert [each.call("whoami").result["content"][0]["text"] for each in callers] == ["ana"] * 3
    assert kid(oauth.refresh(grant.refresh_token).json()["access_token"]) == new
    assert all(each.report()["rejected"] == [] for each in world.replicas)


def test_given_a_request_that_was_honoured_when_the_operator_starts_again_then_nothing_is_rotated(world):
    before = stored(world)
    for each in world.operators:
        each.kill()
        each.launch()
        each.wait()
    ask(world, "one")
    time.sleep(5)
    assert stored(world) == before


def test_given_old_keys_when_their_time_is_over_then_each_goes_when_nothing_needs_it(world):
    new = [stored(world)[ring][0]["id"] for ring in ("signing", "sealing", "mac")]
    put(world, aged(stored(world), DAY))
    wait_rings(world, lambda it: len(it["signing"]) == len(it["mac"]) == 1, "the old signing and MAC keys to go")
    assert len(stored(world)["sealing"]) == 2, "a session may still be sealed under it"
    for replica in world.replicas:
        wait_until(lambda replica=replica: published(replica) == [new[0]], what=f"{replica.name} to forget the old key")
    put(world, aged(stored(world), MONTH))
    wait_rings(world, lambda it: [len(it[ring]) for ring in ("signing", "sealing", "mac")] == [1, 1, 1], "the old sealing key to go")
    assert [stored(world)[ring][0]["id"] for ring in ("signing", "sealing", "mac")] == new
    # A replica that starts now has never seen the old ones.
    replica = world.replicas[0]
    replica.stop()
    replica.start()
    world.served("open", [replica])
    assert world.at(replica, world.caller("accounts", world.browser("ana"))).call("whoami").result["content"][0]["text"] == "ana"
    assert all(each.report()["rejected"] == [] for each in world.replicas)


def test_given_a_replica_that_lags_when_asked_to_rotate_then_the_new_key_is_used_only_once_that_one_has_it(world):
    before, slow = stored(world), world.replicas[2]
    slow.freeze()
    try:
        ask(world, "two")
        wait_rings(world, lambda it: len(it["signing"]) == 2, "the new keys to be announced")
        time.sleep(8)
        announced = stored(world)
        assert announced["signing"][0]["id"] == before["signing"][0]["id"], "it was used before everybody had it"
        for replica in world.replicas[:2]:
            assert len(published(replica)) == 2, "it is published before it signs"
        # Whoever leads dies in the middle; another one goes on from there.
        world.operators[0].kill()
    finally:
        slow.thaw()
    promoted(world, before, seconds=90)
    retired(world)
    world.operators[0].launch()
    world.operators[0].wait()


def test_given_keys_that_nobody_may_work_with_when_somebody_writes_them_then_those_in_memory_stay(world):
    good = stored(world)
    caller = world.caller("open", world.browser("bob"))
    put(world, {**good, "signing": [{"id": "a", "key": "A" * 43}]})
    for replica in world.replicas:
        wait_until(lambda replica=replica: "looks like an example" in replica.log(), what=f"{replica.name} to refuse them")
    assert caller.call("echo", text="x").status == 200
    put(world, good)
    retired(world)
