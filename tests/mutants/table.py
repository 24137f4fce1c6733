"""Runs each mutant against the tests that reach it, and prints what became of them by file, and each survivor."""

import math
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import building
import changed
import edits
import mutants
import rust_tests
import yaml

REPOSITORY = Path(__file__).resolve().parent.parent.parent
SURVIVORS = Path(__file__).with_name("survivors.yaml")
CACHE = Path(os.environ.get("PORTCULLIS_CACHE") or Path.home() / ".cache/portcullis") / "mutants"
SECONDS = 60
CAUGHT, MISSED, HUNG, NOT_BUILT, LEFT_OUT = "caught", "missed", "no end", "not built", "left out"
# What a whole run may spend on the mutants of the lines that the last commit changed, its build included.
BUDGET_SECONDS = 300
# Few tests at first, the quickest: most mutants are caught by the first that meets them.
AT_A_TIME = (4, 16, 1000)

Test = tuple[rust_tests.Program, str]


def main() -> int:
    arguments = sys.argv[1:]
    known = {each["mutant"]: each["why"] for each in yaml.safe_load(SURVIVORS.read_text()) or []}
    if arguments != ["--changed"]:
        found = mutants.listed(REPOSITORY, arguments)
        return report(found, outcomes(found), known)
    deadline = time.monotonic() + BUDGET_SECONDS
    found = changed.mutants_of_changed_lines(REPOSITORY)
    if not found:
        print("no mutant is on a line that changed since HEAD~1\n1 passed, 0 failed")
        return 0
    return report(found, outcomes(found, deadline), known)


def outcomes(found: list[mutants.Mutant], deadline: float = math.inf) -> dict[int, str]:
    """What became of each, by its number. After the deadline the others are left out."""
    env = {name: value for name, value in os.environ.items() if name not in (edits.VARIABLE, building.REACHED)}
    # One folder for all builds: the libraries are compiled already.
    env.setdefault("CARGO_TARGET_DIR", str(CACHE / "target"))
    programs, built = building.build(REPOSITORY, CACHE / "tree", found, env)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        tests = [(program, test) for program in programs for test in program.tests()]
        passed = list(pool.map(lambda test: alone(test, env), tests))
        if sick := [test[1] for test, (fine, *_) in zip(tests, passed, strict=True) if not fine]:
            raise RuntimeError(f"with no mutant on, these do not pass: {', '.join(sick)}")
        reached = defaultdict(list)
        for (program, test), (_, seconds, numbers) in zip(tests, passed, strict=True):
            for number in numbers:
                reached[number].append((seconds, (program, test)))
        print(f"-- {len(built)} mutants built; {len(tests)} tests", flush=True)
        tried = [each for each in found if each.number in built]
        became = dict.fromkeys((each.number for each in found), NOT_BUILT)
        results = pool.map(lambda each: outcome(each, reached[each.number], env) if time.monotonic() < deadline else LEFT_OUT, tried)
        for done, (each, result) in enumerate(zip(tried, results, strict=True), 1):
            became[each.number] = result
            if done % 100 == 0:
                print(f"-- {done} tried", flush=True)
        return became


def alone(test: Test, env: dict[str, str]) -> tuple[bool, float, set[int]]:
    """Whether a test passes by itself, how long it takes, and which mutants it meets."""
    program, path = test
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "reached"
        began = time.monotonic()
        said, _ = program.run([path], env=env | {building.REACHED: str(file)})
        numbers = {int(line) for line in file.read_text().split()} if file.exists() else set()
        return said.get(path) == "ok", time.monotonic() - began, numbers


def outcome(mutant: mutants.Mutant, reached: list[tuple[float, Test]], env: dict[str, str]) -> str:
    """What the tests that meet it say of a mutant."""
    env = env | {edits.VARIABLE: str(mutant.number)}
    tests = [test for _, test in sorted(reached, key=lambda each: each[0])]
    done = 0
    for many in AT_A_TIME:
        batch, done = tests[done : done + many], done + many
        for program in {program.path: program for program, _ in batch}.values():
            paths = [path for each, path in batch if each.path == program.path]
            try:
                said, _ = program.run(paths, env=env, timeout=SECONDS)
            except subprocess.TimeoutExpired:
                return HUNG
            if any(said.get(path) != "ok" for path in paths):
                return CAUGHT
    return MISSED


def report(found: list[mutants.Mutant], became: dict[int, str], known: dict[str, str]) -> int:
    print("\nfile | mutants | caught | no end | missed | not built | left out")
    for file in sorted({each.file for each in found}):
        counts = Counter(became[each.number] for each in found if each.file == file)
        print(f"{file} | {counts.total()} | {counts[CAUGHT]} | {counts[HUNG]} | {counts[MISSED]} | {counts[NOT_BUILT]} | {counts[LEFT_OUT]}")
    counts = Counter(became[each.number] for each in found)
    print(f"all | {counts.total()} | {counts[CAUGHT]} | {counts[HUNG]} | {counts[MISSED]} | {counts[NOT_BUILT]} | {counts[LEFT_OUT]}\n")
    if counts[LEFT_OUT]:
        print(f"{counts[LEFT_OUT]} mutants were left out for lack of time; ./tests/run mutants FILE... runs them")
    survivors = {str(each) for each in found if became[each.number] == MISSED}
    for each in sorted(survivors):
        print(f"survives, and may: {each}\n  {known[each]}" if each in known else f"FAILED: survives: {each}")
    unknown = survivors - set(known)
    print(f"{counts[CAUGHT] + counts[HUNG] + len(survivors & set(known))} passed, {len(unknown)} failed")
    return 1 if unknown else 0


sys.exit(main())
