"""The gateway's own keys on one machine: rotated while clients work, sealed rows following, bad keys refused (docs/keys.md)."""

import json
import os
import sqlite3
from pathlib import Path

import httpx2
import pytest
from gateway import run
from processes import wait_until
from raw import LEGACY
from rings import DAY, MONTH, aged, ids, kid, sealed_under
from traffic import Traffic
from vault import Vault
from world import World


def stored(world) -> Path:
    return world.gateway.state / "keys.json"


def rings(world) -> dict:
    return json.loads(stored(world).read_text())


def put(path: Path, text: str) -> None:
    """As whoever edits it should: a reader never sees half of it."""
    aside = path.with_suffix(".edited")
    aside.touch(mode=0o600)
    aside.write_text(text)
    os.replace(aside, path)


def rotated(world, *arguments) -> dict:
    """Rotates, and waits until the old keys' time runs."""
    before = rings(world)["signing"][0]["id"]
    done = run("keys", "rotate", "--state", world.gateway.state, *arguments)
    assert done.returncode == 0, done.stderr

    def moved():
        now = rings(world)
        replaced = now["signing"][1:]
        return now["signing"][0]["id"] != before and replaced and "retiredAt" in replaced[0] and now

    return wait_until(moved, seconds=15, what="the gateway to move to the new keys")


def published(world) -> list[str]:
    return [key["kid"] for key in httpx2.get(f"{world.gateway.public_url}/oauth/jwks", trust_env=False).json()["keys"]]


def rows(world, what: str) -> list[str]:
    column, table = what.split(" of ")
    with sqlite3.connect(world.gateway.state / "portcullis.sqlite", timeout=10) as database:
        return [row[0] for row in database.execute(f"select {column} from {table} where {column} is not null")]


def under(world, key: str) -> bool:
    envelopes = rows(world, "sealed of connections") + rows(world, "sealed_secret of origin_clients")
    return bool(envelopes) and {sealed_under(each) for each in envelopes} == {key}


@pytest.fixture(scope="module")
def world(folder):
    with World(folder, "open", "accounts") as world:
        yield world


@pytest.mark.requirement("as.keys.rotation")
def test_given_clients_at_work_when_the_keys_are_rotated_then_nobody_notices_and_the_old_ones_go_when_nothing_needs_them(world):
    browser = world.browser("ana")
    oauth = world.oauth("accounts")
    grant = oauth.sign_in(browser)
    caller = world.caller("accounts", token=grant.access_token, era=LEGACY)
    assert caller.call("whoami").result["content"][0]["text"] == "ana"
    client = world.client("typescript-sdk", "accounts", browser)
    client.connect()
    assert client.text("whoami") == "ana"
    busy = world.caller("open", browser, era=LEGACY)
    pages = len(browser.seen())
    first, cursor = rings(world), world.gateway.cursor()
    assert under(world, first["sealing"][0]["id"])

    with Traffic(busy) as traffic:
        second = rotated(world)
        new, old = ids(second, "signing")
        assert (kid(grant.access_token), published(world)) == (old, [new, old])
        wait_until(lambda: under(world, second["sealing"][0]["id"]), seconds=20, what="the store to be sealed anew")
    assert traffic.wrong == [] and traffic.lost == 0 and traffic.good

    # The token, the session, the connection and the browser that were there before go on; what is new is made with the new key.
    assert caller.call("whoami").result["content"][0]["text"] == "ana"
    assert client.text("whoami") == "ana"
    renewed = oauth.refresh(grant.refresh_token).json()["access_token"]
    assert kid(renewed) == new
    assert world.caller("accounts", token=renewed).call("whoami").status == 200
    event = world.gateway.wait_event("admin.keys", after=cursor, reason="keys_resealed", seconds=10)
    assert event["outcome"] == "success" and "re-encrypted" in event["message"]
    assert f"portcullis_resealed_total {event['message'].split()[0]}\n" in world.gateway.admin("/metrics").text
    assert world.gateway.wait_event("admin.keys", after=cursor, reason="keys_turned")["outcome"] == "success"

    # A day later no token of the old key lives any more; after a month no session does either.
    put(stored(world), json.dumps(aged(rings(world), DAY)))
    wait_until(lambda: published(world) == [new], seconds=10, what="the old signing key to go")
    assert caller.call("whoami").status == 401
    caller.token = renewed
    assert caller.call("whoami").result["content"][0]["text"] == "ana", "the session is sealed under the old key, which is still there"
    client.stop()
    put(stored(world), json.dumps(aged(rings(world), MONTH)))
    wait_until(lambda: len(rings(world)["sealing"]) == 1, seconds=20, what="the old sealing key to go")
    wait_until(lambda: caller.call("whoami").status == 404, what="the session to end")
    caller.session = None
    caller.initialize()
    assert caller.call("whoami").result["content"][0]["text"] == "ana", "the connection needs no old key"
    assert len(browser.seen()) == pages, "somebody had to sign in or connect again"


# The steps of a rotation, each with a test of whether it is over: (rings now, rings before) -> bool.
STEPS = {
    "before it is asked for": lambda now, before: True,
    "when the new keys are there": lambda now, before: len(now["signing"]) > len(before["signing"]),
    "when the new keys come first": lambda now, before: ids(now, "signing")[0] != ids(before, "signing")[0],
    "when the old keys' time runs": lambda now, before: "retiredAt" in now["signing"][1],
}


@pytest.mark.parametrize("step", STEPS)
def test_given_a_rotation_when_the_gateway_is_killed_at_any_step_then_it_goes_on_from_there(world, step):
    token = world.oauth("open").sign_in(world.browser("bob")).access_token
    caller = world.caller("accounts", world.browser("bob"))
    assert caller.call("whoami").result["content"][0]["text"] == "bob"
    before = rings(world)
    if step == "before it is asked for":
        world.gateway.kill()
    assert run("keys", "rotate", "--state", world.gateway.state).returncode == 0
    if step == "before it is asked for":
        assert ids(rings(world), "signing")[0] == ids(before, "signing")[0], "nobody uses the new key before everybody has it"
    else:
        wait_until(lambda: STEPS[step](rings(world), before), seconds=15, every=0.001, what=f"the rotation to be there: {step}")
        world.gateway.kill()
    world.gateway.start()
    wait_until(lambda: STEPS["when the old keys' time runs"](rings(world), before), seconds=15, what="the rotation to go on")
    new = rings(world)
    assert ids(new, "signing")[0] not in ids(before, "signing")
    wait_until(lambda: under(world, new["sealing"][0]["id"]), seconds=20, what="the store to be sealed anew")
    assert published(world)[0] == ids(new, "signing")[0]
    assert world.caller("open", token=token).call("echo", text="x").status == 200
    assert caller.call("whoami").result["content"][0]["text"] == "bob"


def test_given_a_key_file_that_is_broken_or_gone_while_it_serves_then_the_keys_in_memory_stay(world):
    good = stored(world).read_text()
    caller = world.caller("open", world.browser("bob"))
    for bad in (None, "{}", good.replace("signing", "singing")):
        cursor = world.gateway.cursor()
        stored(world).unlink() if bad is None else put(stored(world), bad)
        world.gateway.wait_log("the key rings in memory stay in use", after=cursor)
        assert caller.call("echo", text="x").status == 200
    put(stored(world), good)


def starts(world) -> str:
    """What a start says that must not succeed."""
    done = run("serve", *world.gateway.source(), "--state", world.gateway.state, "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0")
    assert done.returncode != 0
    return done.stderr


@pytest.mark.requirement("advisory.keys")
def test_given_keys_that_nobody_may_work_with_when_started_then_it_is_refused_with_the_mend(world):
    world.gateway.stop()
    good = rings(world)
    example = json.loads((Path(__file__).parents[2] / "docs/keys.md").read_text().split("```json\n")[1].split("```")[0])
    cases = {
        "is published as an example": example,
        "has 3 bytes, not 32": {**good, "signing": [{"id": "a", "key": "c2hv"}]},
        "looks like an example": {**good, "signing": [{"id": "a", "key": "A" * 43}]},
        "'sealing' is empty": {**good, "sealing": []},
    }
    try:
        for problem, document in cases.items():
            put(stored(world), json.dumps(document))
            said = starts(world)
            assert problem in said and "portcullis keys generate" in said, said
        stored(world).unlink()
        said = starts(world)
        assert "restore it from a backup" in said and not stored(world).exists(), said
    finally:
        put(stored(world), json.dumps(good))
        world.gateway.start()


def test_generated_keys_are_taken_and_no_two_are_the_same(world):
    one, other = (json.loads(run("keys", "generate").stdout) for _ in range(2))
    assert set(one) == {"signing", "sealing", "mac", "installation"}
    every = [entry["key"] for document in (one, other) for ring in ("signing", "sealing", "mac") for entry in document[ring]]
    assert len(set(every)) == 6
    assert one["installation"]["id"] != other["installation"]["id"]


@pytest.mark.requirement("advisory.keys-at-rest")
def test_given_a_transit_service_when_the_keys_are_kept_with_it_then_the_file_alone_is_worth_nothing_and_an_outage_changes_nothing(folder):
    with Vault(folder / "vault") as vault, World(folder / "vault-world", "open") as world:
        token = folder / "vault-token"
        token.write_text(f"{vault.token}\n")
        plain = rings(world)
        caller = world.caller("open", world.browser("ana"))

        # What was kept in the clear is encrypted with the first start that is told to.
        world.gateway.stop()
        world.gateway.arguments = vault.arguments("--transit-token-file", token)
        world.gateway.start()
        assert set(rings(world)) == {"transit"}
        assert not any(entry["key"] in stored(world).read_text() for ring in ("signing", "sealing", "mac") for entry in plain[ring])
        assert caller.call("echo", text="x").status == 200
        shown = run("keys", "decrypt", stored(world), *world.gateway.arguments)
        assert json.loads(shown.stdout) == plain

        # Its own key may be rotated there, the rings here.
        vault.rotate()
        assert run("keys", "rotate", "--state", world.gateway.state, *world.gateway.arguments).returncode == 0
        wait_until(lambda: len(published(world)) == 2 and published(world)[0] != plain["signing"][0]["id"], what="the rotation")
        assert json.loads(stored(world).read_text())["transit"]["ciphertext"].startswith("vault:v2:")
        assert caller.call("echo", text="x").status == 200

        # Away after the start: nothing changes. Away, or refusing, at a start: it is refused.
        vault.seal()
        assert caller.call("echo", text="x").status == 200
        world.gateway.stop()
        refusals = {
            "Vault is sealed": world.gateway.arguments,
            "permission denied": world.gateway.arguments,
            "no such file": vault.arguments("--transit-token-file", folder / "missing"),
            "add --keys-encryption transit": [],
        }
        for said, arguments in refusals.items():
            if said == "permission denied":
                vault.unseal()
                vault.deny()
            done = run("serve", *world.gateway.source(), "--state", world.gateway.state, "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", *arguments)
            assert done.returncode != 0 and said in done.stderr.replace("No such", "no such"), done.stderr
            assert vault.token not in done.stderr
        vault.allow()
        world.gateway.start()
        assert caller.call("echo", text="x").status == 200
        assert vault.token not in world.gateway.log()
