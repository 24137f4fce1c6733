"""From `apply` of one VirtualMcp, one Team, one origin that every route shares, to every one of three replicas serving it: p50 and
p99, with more and more virtual MCPs present; memory, and requests to the API server per change from its audit log.

Measured and printed, never asserted: it fails only where a change is not served at all.
"""

import argparse
import shutil
import tempfile
import time
from pathlib import Path

import manifests as m
from cluster_world import ClusterWorld
from pace import Changes, Pace, fill, memory
from postgres import Postgres

HEAD = f"{'VirtualMcps':>11}  {'change':<9} {'samples':>7} {'p50 ms':>8} {'p99 ms':>8} {'most ms':>8} {'requests':>9} {'writes':>7}"


def row(size: int, pace: Pace) -> str:
    p50, p99, most = (1000 * value for value in (pace.percentile(0.5), pace.percentile(0.99), max(pace.seconds)))
    return f"{size:>11}  {pace.what:<9} {len(pace.seconds):>7} {p50:>8.0f} {p99:>8.0f} {most:>8.0f} {pace.requests:>9.1f} {pace.writes:>7.1f}"


def measure(world: ClusterWorld, size: int, samples: int, present: int) -> list[str]:
    """The rows of one size; `present` virtual MCPs are there already."""
    started = time.monotonic()
    fill(world, present, size)
    applied = time.monotonic() - started
    world.served(f"many-{size - 1}", seconds=300)
    print(f"-- {size} virtual MCPs: applied in {applied:.0f} s, served after {time.monotonic() - started:.0f} s", flush=True)
    # The size before left the team without members.
    world.apply(m.team("timed", {"virtualMcp": "timed"}, groups=["finance"]))
    world.wait_condition("Team", "timed", "Programmed", "True", seconds=60)
    ana = world.browser("ana")
    changes = Changes(world, world.oauth("timed").sign_in(ana).access_token, "timed")
    changes.open_token = world.oauth("open").sign_in(ana).access_token
    changes.number = 10 * size
    rows = []
    try:
        for what in ("virtual", "team", "origin"):
            pace = changes.measure(what, samples + samples % 2, getattr(changes, what))
            rows.append(row(size, pace))
            print(rows[-1], flush=True)
        # What was made for the first measurement goes, so that the sizes stay what they say.
        for each in world.api.list("VirtualMcp"):
            if each["metadata"]["name"].startswith("new-"):
                world.api.delete("VirtualMcp", each["metadata"]["name"])
        changes.settle()
    finally:
        changes.close()
    used = ", ".join(f"{who} {amount:.0f} MiB" for who, amount in memory(world).items())
    rows.append(f"{size:>11}  memory    {used}")
    print(rows[-1], flush=True)
    return rows


def main() -> int:
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--sizes", default="10,100,1000,5000")
    arguments.add_argument("--samples", type=int, default=200)
    given = arguments.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="portcullis-scale-"))
    table, passed, present = [HEAD], 0, 0
    try:
        with Postgres(folder / "postgres", auth="md5") as database, ClusterWorld(folder, "open", replicas=3, database=database.url) as world:
            world.apply(m.virtual("timed", "open", access="Teams"), m.team("timed", {"virtualMcp": "timed"}, groups=["finance"]))
            world.served("timed")
            print(HEAD, flush=True)
            for size in map(int, given.sizes.split(",")):
                table += measure(world, size, given.samples, present)
                present = size
                passed += 1
    finally:
        print("\n" + "\n".join(table))
        failed = len(given.sizes.split(",")) - passed
        print(f"{passed} passed, {failed} failed")
        if not failed:
            shutil.rmtree(folder, ignore_errors=True)
        else:
            print(f"logs are kept in {folder}")
    return failed


raise SystemExit(main())
