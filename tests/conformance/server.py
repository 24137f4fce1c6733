"""Runs the suite on every side and compares, check by check, with what it found straight."""

import argparse
import signal
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import scenarios
import sides
from tally import Tally, folder_of_logs

# What the server reaches straight. A run that falls short of it compares too little to say anything about the gateway.
FLOOR = {"2025-11-25": 84, "2026-07-28": 196}
# Straight, nothing fails. One scenario decides nothing, whatever the server does.
UNDECIDED = "tasks-status-notifications: skipped by the suite itself, in every run"


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--revision", action="append", choices=list(FLOOR))
    parser.add_argument("--forwarder", action="store_true")
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    tally = Tally()
    with folder_of_logs(tally, "server") as folder, ExitStack() as stack:
        compare(stack, folder, given.revision or list(FLOOR), given.forwarder, tally)
    return tally.report("DIFFERS")


def compare(stack: ExitStack, folder: Path, revisions: list[str], without_gateway: bool, tally: Tally) -> None:
    straight = sides.straight(stack, folder)
    guarded = None
    if without_gateway:
        others = sides.through_forwarder(stack, folder)
    else:
        guarded = sides.Guarded(stack, folder)
        others = guarded.sides
        tally.note(guarded.refuses_without_token(), "the gateway lets a request without a token in: this compares nothing")
    table = []
    for revision in revisions:
        expected = run(straight, revision, folder)
        reached = scenarios.count(expected, "SUCCESS")
        tally.note(reached >= FLOOR[revision], f"{revision} straight: {reached} passed, where the server is known to reach {FLOOR[revision]}")
        for scenario, check in failures(expected):
            print(f"fails straight: {revision} {scenario}: {check.id} ({check.name}): {check.message}")
        row = [revision, scenarios.summary(expected)]
        for side in others:
            before = guarded.saw(side) if guarded else 0
            found = run(side, revision, folder)
            row.append(scenarios.summary(found))
            if guarded:
                tally.note(guarded.saw(side) > before, f"{revision} {side.name}: the gateway has seen none of these requests")
            judge(side, revision, expected, found, tally)
        table.append(row)
    show(["revision", "straight", *(side.name for side in others)], table)
    print(f"passed/failed/warnings of each; not counted: {UNDECIDED}")


def run(side: sides.Side, revision: str, folder: Path) -> scenarios.Findings:
    started = time.monotonic()
    findings = scenarios.everything(side.url, revision, folder / f"{side.name}-{revision}")
    print(f"{revision} {side.name}: {len(findings)} scenarios, {scenarios.summary(findings)}, {time.monotonic() - started:.1f} s")
    return findings


def judge(side, revision, expected, found, tally) -> None:
    both = {scenario: (expected.get(scenario, []), found.get(scenario, [])) for scenario in sorted(expected | found)}
    for scenario, (here, there) in both.items():
        for name, one, other in scenarios.pairs(here, there):
            tally.note(one.status == other.status, f"{revision} {scenario}: {name}: straight {one}, {side.name} {other}")


def failures(findings: scenarios.Findings):
    return [(scenario, check) for scenario, checks in findings.items() for check in checks if check.status == "FAILURE"]


def show(head: list[str], rows: list[list[str]]) -> None:
    widths = [max(len(row[place]) for row in [head, *rows]) for place in range(len(head))]
    print()
    for row in [head, *rows]:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


sys.exit(main())
