"""A small version of the scale suite's table: a change is one write of a document, however many routes it touches."""

import manifests as m
import measured
import pytest
from cluster_world import ClusterWorld
from pace import Changes, fill
from postgres import Postgres

ROUTES = 60
SAMPLES = 6


@pytest.fixture(scope="module")
def changes(folder):
    with Postgres(folder / "postgres", auth="md5") as database, ClusterWorld(folder, "open", replicas=3, database=database.url) as world:
        fill(world, 0, ROUTES)
        world.served(f"many-{ROUTES - 1}")
        world.apply(m.virtual("timed", "open", access="Teams"), m.team("timed", {"virtualMcp": "timed"}, groups=["finance"]))
        world.served("timed")
        ana = world.browser("ana")
        changes = Changes(world, world.oauth("timed").sign_in(ana).access_token, "timed")
        changes.open_token = world.oauth("open").sign_in(ana).access_token
        yield changes
        changes.close()


@pytest.mark.parametrize("what", ["virtual", "team", "origin"])
def test_given_many_routes_when_one_thing_is_changed_then_every_replica_serves_it_and_the_writes_are_few(changes, what):
    if changes.number % 2:
        changes.number += 1  # so that the first change is one
    pace = changes.measure(what, SAMPLES, getattr(changes, what))
    measured.note(f"a change of a {what}: p50 {pace.percentile(0.5) * 1000:.0f} ms, most {max(pace.seconds) * 1000:.0f} ms, {pace.writes:.1f} writes a change")
    # The document and the diagnoses; status and event of the resource itself. An origin's routes are not rewritten.
    assert pace.writes <= 12, f"{pace.writes} writes for one change, among {ROUTES} routes"
