"""PostgreSQL away: what a replica has opened already goes on for `storeOutageGrace`, the rest says 503, and all heals."""

import time

import httpx2
import pytest
from cluster_world import ClusterWorld
from postgres import Postgres
from processes import wait_until

GRACE = 10  # seconds
NEWS = 3  # seconds, well over the one in which a replica hears of an account that was connected, and reads it anew


@pytest.fixture(scope="module")
def database(folder):
    with Postgres(folder / "postgres", auth="md5") as database:
        yield database


@pytest.fixture(scope="module")
def world(folder, database):
    with ClusterWorld(folder, "accounts", replicas=2, database=database.url, storeOutageGrace=f"{GRACE}s") as world:
        yield world


@pytest.mark.requirement("advisory.fail-open")
def test_given_no_database_when_calls_come_then_opened_credentials_go_on_for_the_grace_and_all_else_says_503_and_heals(world, database):
    first, second = world.replicas
    world.balance(first)
    here = world.at(first, world.caller("accounts", world.browser("ana")))
    assert here.call("whoami").result["content"][0]["text"] == "ana"
    bob = world.caller("accounts", world.browser("bob"))
    assert bob.call("whoami").status == 200
    time.sleep(NEWS)
    assert here.call("whoami").status == 200
    elsewhere = world.at(second, bob)  # where nothing of Bob's has been opened yet
    world.balance()
    oauth = world.oauth("accounts")
    database.stop()
    gone = time.monotonic()
    refused = elsewhere.call("whoami")
    assert refused.status == 503, refused.text
    assert refused.headers["retry-after"]
    page = httpx2.get(oauth.authorize_url(), trust_env=False, follow_redirects=True, timeout=20)
    assert page.status_code == 503
    while time.monotonic() - gone < GRACE - 4:  # it counts from the last reading of the log, somewhat before
        assert here.call("whoami").status == 200
        time.sleep(0.2)
    wait_until(lambda: here.call("whoami").status == 503, seconds=GRACE + 4, what="the grace to end")
    for each in world.replicas:
        assert each.process.popen.poll() is None, f"{each.name} ended: {each.log()[-2000:]}"
    database.start()
    wait_until(lambda: here.call("whoami").status == 200, seconds=15, what="the first replica to heal")
    wait_until(lambda: elsewhere.call("whoami").status == 200, seconds=15, what="the second replica to heal")
    # Whose grace has not quite ended serves before it has read the log again.
    wait_until(lambda: all("the revocation log is readable again" in each.log() for each in world.replicas), seconds=15, what="both to read the log")
    assert world.caller("accounts", world.browser("eve")).call("whoami").result["content"][0]["text"] == "eve"
    assert [each.starts for each in world.replicas] == [1, 1]
