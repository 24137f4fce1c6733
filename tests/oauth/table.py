"""Runs what shows the requirements and prints the table: requirement, source, test, result."""

import sys
from collections import defaultdict

import requirements
from evidence import ABSENT, PASSED, Evidence

SUITE = "oauth"


def main() -> int:
    try:
        wanted = requirements.read(sys.argv[1:])
        everything = {each.id for each in requirements.read([])}
    except (ValueError, TypeError) as wrong:
        print(f"requirements.yaml: {wrong}\n0 passed, 1 failed")
        return 1
    evidence = gather(wanted)
    complaints = show(wanted, evidence)
    for id in sorted(set(evidence.named) - everything):
        complaints.append(f"{', '.join(sorted(evidence.named[id]))}: shows {id!r}, which is no requirement")
    passed = sum(evidence.outcome(name) == PASSED for name in evidence.outcomes)
    failed = len(evidence.outcomes) - passed + len(complaints)
    for complaint in complaints:
        print(f"FAILED {complaint}")
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


def gather(wanted: list[requirements.Requirement]) -> Evidence:
    suites, crates = defaultdict(set), defaultdict(set)
    for where, test in (requirements.place(name) for each in wanted for name in each.tests):
        suite, _, file = where.partition("/")
        if file:
            suites[suite].add((file, test))
        else:
            crates[suite].add(test)
    evidence = Evidence()
    if crates:
        evidence.cargo(crates)
    for suite, tests in sorted(suites.items()):
        evidence.pytest(suite, sorted(tests))
    evidence.pytest(SUITE, None, within=("./internet",))
    return evidence


def show(wanted: list[requirements.Requirement], evidence: Evidence) -> list[str]:
    """Prints the table; returns what is wrong with it besides tests that failed."""
    complaints, rows, shown = [], [], 0
    for each in wanted:
        tests = [*each.tests, *sorted(evidence.named[each.id])]
        outcomes = {name: evidence.outcome(name) for name in tests}
        if not tests:
            complaints.append(f"{each.id}: no test shows it ({each.says.strip()})")
        complaints += [f"{each.id}: there is no test {name}" for name, outcome in outcomes.items() if outcome == ABSENT]
        shown += bool(tests) and set(outcomes.values()) == {PASSED}
        rows += [(each.id, each.source, name, outcome) for name, outcome in (outcomes or {"-": ABSENT}).items()]
    print("\nrequirement | source | test | result")
    before = None
    for id, source, name, outcome in rows:
        print(f"{id} | {source} | {name} | {outcome}" if id != before else f"{'':<{len(id)}} | | {name} | {outcome}")
        before = id
    print(f"\n{len(wanted)} requirements, {shown} shown")
    return complaints


sys.exit(main())
