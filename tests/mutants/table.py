"""Tries the mutants, and prints their outcomes by file, and each survivor."""

import sys
import time
from collections import Counter
from pathlib import Path

import changed
import mutants
import yaml
from trials import HUNG, KILLED, LEFT_OUT, NOT_BUILT, SURVIVED, outcomes

REPOSITORY = Path(__file__).resolve().parent.parent.parent
SURVIVORS = Path(__file__).with_name("survivors.yaml")
COLUMNS = (KILLED, HUNG, SURVIVED, NOT_BUILT, LEFT_OUT)
# The time that a whole run may spend on the mutants of changed lines, including their build.
BUDGET_SECONDS = 300


def main() -> int:
    arguments = sys.argv[1:]
    known = {each["mutant"]: each["why"] for each in yaml.safe_load(SURVIVORS.read_text()) or []}
    if arguments[:1] == ["--changed"]:
        return of_changed_lines(known, report_only=arguments[1:] == ["--report"])
    found = mutants.listed(REPOSITORY, arguments)
    passed, failed = report(found, outcomes(REPOSITORY, found), known)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


def of_changed_lines(known: dict[str, str], report_only: bool = False) -> int:
    """Only survivors fail, and not even they if the run is to report only. Without any mutant tried the run itself counts as passed: a
    suite must not report nothing."""
    deadline = time.monotonic() + BUDGET_SECONDS
    found = changed.mutants_of_changed_lines(REPOSITORY)
    if found:
        passed, failed = report(found, outcomes(REPOSITORY, found, deadline), known)
    else:
        print(f"0 mutants are on lines that changed since {changed.BASE}")
        passed, failed = 0, 0
    if report_only and failed:
        print(f"{failed} survivors need a test in their own crate or a reason in {SURVIVORS.name}; this run only reports them")
        failed = 0
    print(f"{passed if passed or failed else 1} passed, {failed} failed")
    return 1 if failed else 0


def report(found: list[mutants.Mutant], became: dict[int, str], known: dict[str, str]) -> tuple[int, int]:
    """Prints the outcomes. Returns how many mutants passed (killed, or survivors with a reason), and how many failed."""
    print("\n" + " | ".join(("file", "mutants", *COLUMNS)))
    for file in sorted({each.file for each in found}):
        print(row(file, Counter(became[each.number] for each in found if each.file == file)))
    counts = Counter(became[each.number] for each in found)
    print(row("all", counts) + "\n")
    if counts[LEFT_OUT]:
        print(f"{counts[LEFT_OUT]} mutants were left out for lack of time; ./tests/run mutants FILE... runs them")
    survivors = {str(each) for each in found if became[each.number] == SURVIVED}
    for each in sorted(survivors):
        print(f"survives, and may: {each}\n  {known[each]}" if each in known else f"survives: {each}")
    killed = counts[KILLED] + counts[HUNG]
    print(f"{len(found)} mutants: {killed} killed, {counts[SURVIVED]} survived, {counts[NOT_BUILT]} not built, {counts[LEFT_OUT]} left out")
    unknown = survivors - set(known)
    return killed + len(survivors & set(known)), len(unknown)


def row(name: str, counts: Counter[str]) -> str:
    return " | ".join((name, *(str(number) for number in (counts.total(), *(counts[column] for column in COLUMNS)))))


if __name__ == "__main__":
    sys.exit(main())
