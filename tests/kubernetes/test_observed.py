"""An origin that asks for an account shows its catalog to people, not to the operator: the replicas tell how much was shown, and by what
names only if the catalog is shared."""

import time

import httpx2
import manifests as m
import pytest
from cluster_world import ClusterWorld
from gateway import HOST
from processes import wait_until


@pytest.fixture(scope="module")
def world(folder):
    with ClusterWorld(folder, "accounts", replicas=2) as world:
        yield world


def status(world) -> dict:
    return world.api.get("OriginMcp", "accounts")["status"]


def share(world, sharing: str) -> None:
    spec = {"catalog": {"sharing": sharing}}
    world.apply(m.origin("accounts", world.origins["accounts"].url, m.USER_OAUTH, **spec))


def everything_in_the_cluster(world) -> str:
    """What the operator and the replicas have written, and their logs."""
    kinds = "originmcps,virtualmcps,configmaps,leases,events"
    written = world.cluster.kubectl("get", kinds, "--all-namespaces", "--output", "json").stdout
    return written + "".join(each.process.text() for each in (*world.operators, *world.replicas))


def test_given_an_origin_with_accounts_when_nobody_has_used_it_then_nobody_claims_to_know_it(world):
    condition = world.wait_condition("OriginMcp", "accounts", "CatalogSynced", "Unknown", "NeedsAccount", seconds=30)
    assert "calls that bear a token" in condition["message"]
    assert "catalog" not in status(world)


def test_given_a_person_with_an_account_when_one_replica_shows_them_tools_then_the_status_says_what_was_observed(world):
    world.apply(m.virtual("misspelled", "accounts", capabilities={"tools": {"include": ["whoami", "whoamy"]}}))
    world.served("misspelled")
    world.balance(world.replicas[0])
    caller = world.caller("accounts", world.browser("ana"))
    assert caller.call("whoami").result["content"][0]["text"] == "ana"
    names = {tool["name"] for tool in caller.send("tools/list").result["tools"]}
    assert "whoami" in names
    condition = world.wait_condition("OriginMcp", "accounts", "CatalogSynced", "True", "Observed", seconds=30)
    assert "private" in condition["message"]
    catalog = status(world)["catalog"]
    assert catalog["tools"] == len(names)
    assert catalog["hash"]
    assert "resources" not in catalog, "those are each person's own"


def test_given_a_private_catalog_when_it_was_observed_then_it_is_counted_and_no_name_leaves_the_replica(world):
    assert status(world)["catalog"]["tools"] > 1
    accepted = world.api.conditions("VirtualMcp", "misspelled")["Accepted"]
    assert (accepted["status"], accepted["reason"]) == ("True", "Accepted"), accepted
    names = {tool["name"] for tool in world.caller("accounts", world.browser("ana")).send("tools/list").result["tools"]}
    written = everything_in_the_cluster(world)
    assert "misspelled" in written, "this would show the names"
    for name in names - {"whoami"}:
        assert f'"{name}"' not in written
        assert f"'{name}'" not in written


def test_given_a_catalog_that_its_owner_shares_then_its_names_are_known(world):
    share(world, "Shared")
    world.wait_condition("OriginMcp", "accounts", "Programmed", "True")
    caller = world.caller("accounts", world.browser("ana"))

    def shared():
        caller.send("tools/list")
        message = world.api.conditions("OriginMcp", "accounts")["CatalogSynced"]["message"]
        return "may be incomplete" in message and "private" not in message

    wait_until(shared, seconds=30, what="the status of a shared catalog")


def test_given_an_observed_catalog_when_a_curation_misspells_a_tool_then_that_is_a_warning_about_what_was_seen_so_far(world):
    def warned():
        accepted = world.api.conditions("VirtualMcp", "misspelled")["Accepted"]
        return accepted if accepted["reason"] == "NotInCatalog" else None

    condition = wait_until(warned, seconds=30, what="the misspelled tool to be told")
    assert condition["status"] == "True", "the origin may have it tomorrow"
    assert "the origin has not yet shown a tool 'whoamy' to any user; did you mean 'whoami'?" in condition["message"]


def test_given_nothing_new_when_people_go_on_then_nothing_is_written(world):
    caller = world.caller("accounts", world.browser("ana"))
    caller.send("tools/list")
    writes = len(world.cluster.writes("portcullis-operator"))
    ends = time.monotonic() + 12  # two reports, two looks at a list that is fresh for 5 s
    while time.monotonic() < ends:
        assert caller.send("tools/list").status == 200
        time.sleep(1)
    assert len(world.cluster.writes("portcullis-operator")) == writes


def test_given_somebody_without_the_keys_when_they_ask_a_replica_then_nothing_is_told(world):
    for headers in ({}, {"portcullis-nonce": "n", "portcullis-mac": "a.b"}):
        answer = httpx2.get(f"http://{HOST}:{world.replicas[0].admin_port}/catalogs", headers=headers, trust_env=False)
        assert answer.status_code == 403
        assert "whoami" not in answer.text


def test_given_another_operator_when_it_leads_then_it_learns_what_the_replicas_have_seen(world):
    world.operators[0].stop()
    world.operators[0].launch()
    world.operators[0].wait()
    hash = status(world)["catalog"]["hash"]
    world.apply(m.virtual("later", "accounts", capabilities={"tools": {"include": ["whoamy"]}}))
    told = wait_until(
        lambda: "whoamy" in world.api.conditions("VirtualMcp", "later").get("Accepted", {}).get("message", ""),
        seconds=45,
        what="the new leader to know what was observed",
    )
    assert told
    assert status(world)["catalog"]["hash"] == hash


def test_given_a_catalog_that_becomes_private_again_then_its_names_are_used_no_more(world):
    share(world, "Private")

    def accepted():
        reasons = {name: world.api.conditions("VirtualMcp", name)["Accepted"]["reason"] for name in ("misspelled", "later")}
        return set(reasons.values()) == {"Accepted"}

    wait_until(accepted, seconds=15, what="the warnings to be gone")
    condition = world.wait_condition("OriginMcp", "accounts", "CatalogSynced", "True", "Observed", seconds=30)
    assert "private" in condition["message"]
