"""Switches checks off, one at a time, runs the test that has to notice, and prints the table: requirement, check, test, result."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import rust_tests
import scratch
import switches

REPOSITORY = Path(__file__).resolve().parent.parent.parent
CACHE = Path(os.environ.get("PORTCULLIS_CACHE") or Path.home() / ".cache/portcullis") / "switches"
SECONDS = 120
NOTICED = "noticed"


def main() -> int:
    try:
        chosen = switches.read(sys.argv[1:])
        texts = switches.switchable(REPOSITORY, chosen)
    except (ValueError, KeyError, TypeError) as wrong:
        print(f"switches.yaml: {wrong}\n0 passed, 1 failed")
        return 1
    scratch.copy(REPOSITORY, CACHE / "tree", texts)
    environment = {name: value for name, value in os.environ.items() if name != switches.VARIABLE}
    environment["CARGO_TARGET_DIR"] = str(CACHE / "target")
    programs, built = rust_tests.build(CACHE / "tree", crates={each.crate for each in chosen}, env=environment)
    if not built:
        print("with its switches the workspace does not build\n0 passed, 1 failed")
        return 1
    places = {}
    for program in programs:
        for test in program.tests():
            places.setdefault((program.crate, rust_tests.function(test)), (program, test))
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        sound = dict(pool.map(lambda test: (test, outcome(places.get(test), environment)), {(each.crate, each.test) for each in chosen}))
        results = list(pool.map(lambda each: result(each, places, sound, environment), chosen))
    print("\nrequirement | check that was switched off | test | result")
    for each, said in zip(chosen, results, strict=True):
        print(f"{each.of} | {each.check} | {each.crate}::{each.test} | {said}")
    passed = results.count(NOTICED)
    print(f"\n{passed} passed, {len(results) - passed} failed")
    return 0 if passed == len(results) else 1


def outcome(place: tuple[rust_tests.Program, str] | None, environment: dict[str, str]) -> str:
    """What a test says: `ok`, `FAILED`, or that it said nothing."""
    if place is None:
        return "not there"
    program, test = place
    try:
        outcomes, _ = program.run([test], env=environment, timeout=SECONDS)
    except subprocess.TimeoutExpired:
        return f"no answer within {SECONDS} s"
    return outcomes.get(test, "died")


def result(switch: switches.Switch, places: dict, sound: dict, environment: dict[str, str]) -> str:
    test = (switch.crate, switch.test)
    if sound[test] != "ok":
        return f"FAILED: with every check on, the test is {sound[test]}"
    said = outcome(places[test], environment | {switches.VARIABLE: str(switch.number)})
    return NOTICED if said == "FAILED" else f"FAILED: the test is {said}"


sys.exit(main())
