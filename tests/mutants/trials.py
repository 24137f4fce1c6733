"""Runs each mutant against the tests that reach it."""

import math
import os
import subprocess
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import building
import edits
import mutants
import rust_tests

CACHE = Path(os.environ.get("PORTCULLIS_CACHE") or Path.home() / ".cache/portcullis") / "mutants"
TEST_TIMEOUT_SECONDS = 60
KILLED, SURVIVED, HUNG, NOT_BUILT, LEFT_OUT = "killed", "survived", "no end", "not built", "left out"
# Few tests at first, the quickest: the first test that reaches a mutant kills most of them.
BATCH_SIZES = (4, 16, 1000)

Test = tuple[rust_tests.Program, str]
T = TypeVar("T")
R = TypeVar("R")


def outcomes(repository: Path, found: list[mutants.Mutant], deadline: float = math.inf) -> dict[int, str]:
    """The outcome of each mutant, by its number. What is not done at the deadline is left out."""
    env = {name: value for name, value in os.environ.items() if name not in (edits.VARIABLE, building.REACHED)}
    # `tests/run` sets it: the target directory of the unit suite, where the libraries are compiled already.
    env.setdefault("CARGO_TARGET_DIR", str(CACHE / "target"))
    try:
        programs, built = building.build(repository, CACHE / "tree", found, env, deadline)
    except subprocess.TimeoutExpired:
        print("-- no time left to build them", flush=True)
        return dict.fromkeys((each.number for each in found), LEFT_OUT)
    became = {each.number: LEFT_OUT if each.number in built else NOT_BUILT for each in found}
    tried = [each for each in found if each.number in built]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        tests = [(program, test) for program in programs for test in program.tests()]
        passed = list(pool.map(before(deadline, lambda test: alone(test, env)), tests))
        if None in passed:
            print("-- no time left to run the tests without mutants", flush=True)
            return became
        if sick := [test[1] for test, (fine, *_) in zip(tests, passed, strict=True) if not fine]:
            raise RuntimeError(f"with no mutant on, these do not pass: {', '.join(sick)}")
        reached = defaultdict(list)
        for test, (_, seconds, numbers) in zip(tests, passed, strict=True):
            for number in numbers:
                reached[number].append((seconds, test))
        print(f"-- {len(built)} mutants built; {len(tests)} tests", flush=True)
        results = pool.map(before(deadline, lambda each: outcome(each, reached[each.number], env)), tried)
        for done, (each, result) in enumerate(zip(tried, results, strict=True), 1):
            became[each.number] = result or LEFT_OUT
            if done % 100 == 0:
                print(f"-- {done} tried", flush=True)
    return became


def before(deadline: float, step: Callable[[T], R], clock: Callable[[], float] = time.monotonic) -> Callable[[T], R | None]:
    """The step, or nothing once the deadline has passed. A step that has begun is finished."""
    return lambda each: step(each) if clock() < deadline else None


def alone(test: Test, env: dict[str, str]) -> tuple[bool, float, set[int]]:
    """Whether a test passes by itself, how long it takes, and which mutants it reaches."""
    program, path = test
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "reached"
        began = time.monotonic()
        said, _ = program.run([path], env=env | {building.REACHED: str(file)})
        numbers = {int(line) for line in file.read_text().split()} if file.exists() else set()
        return said.get(path) == "ok", time.monotonic() - began, numbers


def outcome(mutant: mutants.Mutant, reached: list[tuple[float, Test]], env: dict[str, str]) -> str:
    """Runs the tests that reach a mutant, the quickest first, until one fails."""
    env = env | {edits.VARIABLE: str(mutant.number)}
    tests = [test for _, test in sorted(reached, key=lambda each: each[0])]
    done = 0
    for many in BATCH_SIZES:
        batch, done = tests[done : done + many], done + many
        for program in {program.path: program for program, _ in batch}.values():
            paths = [path for each, path in batch if each.path == program.path]
            try:
                said, _ = program.run(paths, env=env, timeout=TEST_TIMEOUT_SECONDS)
            except subprocess.TimeoutExpired:
                return HUNG
            if any(said.get(path) != "ok" for path in paths):
                return KILLED
    return SURVIVED
