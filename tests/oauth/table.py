"""Prints the table of requirements: requirement, source, test, result."""

import sys
from collections import defaultdict

import requirements
import shown
from evidence import ABSENT, PASSED, Evidence

SUITE = "oauth"


def main() -> int:
    try:
        wanted = requirements.read(sys.argv[1:])
        known = {each.id for each in requirements.read([])}
    except (ValueError, TypeError) as wrong:
        print(f"requirements.yaml: {wrong}\n0 passed, 1 failed")
        return 1
    tests = {id: sorted(names) for id, names in merged(shown.by_pytest(), shown.by_cargo()).items()}
    evidence = gather({name for each in wanted for name in tests.get(each.id, [])})
    satisfied, complaints = show(wanted, tests, evidence)
    complaints += [f"{', '.join(tests[id])}: {id!r} is not a requirement" for id in sorted(set(tests) - known)]
    own = [name for name in evidence.outcomes if name.startswith(f"{SUITE}/")]
    passed = sum(evidence.outcome(name) == PASSED for name in own)
    for complaint in complaints:
        print(f"FAILED {complaint}")
    # A requirement counts as a test does. Tests of other suites count there.
    print(f"{passed + satisfied} passed, {len(own) - passed + len(complaints)} failed")
    return 1 if len(own) > passed or complaints else 0


def merged(*maps: dict[str, set[str]]) -> dict[str, set[str]]:
    found = defaultdict(set)
    for each in maps:
        for id, names in each.items():
            found[id] |= names
    return found


def gather(names: set[str]) -> Evidence:
    """The outcomes of these tests, and of all tests of this suite."""
    suites, crates = defaultdict(list), defaultdict(set)
    for name in names:
        place, _, test = name.partition("::")
        suite, _, file = place.partition("/")
        if file:
            suites[suite].append(f"{file}::{test}")
        else:
            crates[place].add(test)
    evidence = Evidence()
    if crates:
        evidence.cargo(crates)
    for suite, tests in sorted(suites.items()):
        if suite != SUITE:
            evidence.suite(suite, tests)
    evidence.run_pytest(SUITE, [], within=("./internet",))
    return evidence


def show(wanted: list[requirements.Requirement], tests: dict[str, list[str]], evidence: Evidence) -> tuple[int, list[str]]:
    """Prints the table; returns how many requirements are shown, and what is wrong with the others."""
    complaints, satisfied = [], 0
    print("\nrequirement | source | test | result")
    for each in wanted:
        outcomes = {name: evidence.outcome(name) for name in tests.get(each.id, [])}
        if not outcomes:
            complaints.append(f"{each.id}: no test shows it ({each.says.strip()})")
        satisfied += set(outcomes.values()) == {PASSED}
        complaints += [f"{each.id}: {name}: {outcome}" for name, outcome in outcomes.items() if outcome != PASSED]
        for number, (name, outcome) in enumerate(outcomes.items() or [("-", ABSENT)]):
            print(f"{each.id} | {each.source} | {name} | {outcome}" if not number else f"{'':<{len(each.id)}} | | {name} | {outcome}")
    print(f"\n{len(wanted)} requirements, {satisfied} shown")
    return satisfied, complaints


sys.exit(main())
