"""Ten users, three replicas, one database: an origin's token that has expired is refreshed once for each user."""

import threading
from urllib.parse import parse_qs

import pytest
from cluster_world import ClusterWorld
from peers import PEOPLE
from postgres import Postgres

USERS = 10
CALLS = 6  # of each user, at each replica, at once


@pytest.fixture(scope="module")
def world(folder):
    people = {f"user{number}": {"email": f"user{number}@example.com", "email_verified": True, "name": "", "groups": []} for number in range(USERS)}
    PEOPLE.update(people)
    try:
        with Postgres(folder / "postgres", auth="md5") as database, ClusterWorld(folder, "accounts", replicas=3, database=database.url) as world:
            yield world
    finally:
        for each in people:
            PEOPLE.pop(each)


def refreshes(world) -> list[dict]:
    return [r for r in world.authorization.requests() if r["url"] == "/token" and "grant_type=refresh_token" in r["body"]]


def test_given_an_expired_connection_when_its_user_hammers_three_replicas_then_the_origin_sees_one_refresh(world):
    callers = {}
    for number in range(USERS):
        login = f"user{number}"
        caller = world.caller("accounts", world.browser(login))
        callers[login] = [world.at(replica, caller) for replica in world.replicas for _ in range(CALLS)]
        assert callers[login][0].call("whoami").result["content"][0]["text"] == login
        world.authorization.lever("revoke", login=login, what="access")
    before, answers, start = len(refreshes(world)), [], threading.Event()

    def hammer(login: str, caller) -> None:
        start.wait()
        answers.append((login, caller.call("whoami").result["content"][0]["text"]))

    threads = [threading.Thread(target=hammer, args=(login, each)) for login, mine in callers.items() for each in mine]
    for thread in threads:
        thread.start()
    start.set()
    for thread in threads:
        thread.join()
    assert len(answers) == USERS * len(world.replicas) * CALLS
    assert all(login == said for login, said in answers)
    seen = refreshes(world)[before:]
    assert all(request["status"] == 200 for request in seen)
    assert len(seen) == USERS
    assert len({parse_qs(request["body"])["refresh_token"][0] for request in seen}) == USERS
