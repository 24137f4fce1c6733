"""Runs the tests that requirements name, and tells of each whether it passed: pytest's by suite, Rust's by crate."""

import subprocess
import tempfile
from collections import defaultdict
from pathlib import Path
from xml.etree import ElementTree

import rust_tests

TESTS = Path(__file__).resolve().parent.parent

PASSED, FAILED, ABSENT = "passed", "FAILED", "NOT THERE"


class Evidence:
    """What ran: outcomes by the names of requirements.yaml, and which ids the tests of this suite have named."""

    def __init__(self):
        self.outcomes: dict[str, list[bool]] = defaultdict(list)
        self.named: dict[str, set[str]] = defaultdict(set)  # id -> tests

    def outcome(self, name: str) -> str:
        found = self.outcomes.get(name)
        return ABSENT if not found else PASSED if all(found) else FAILED

    def pytest(self, suite: str, tests: list[tuple[str, str]] | None, *, within: tuple[str, ...] = ()) -> None:
        """Runs these tests (file, function) of a suite, or all of it, by the command `within`."""
        # As they stand in their files: what a file's tests share goes through them in that order.
        places = {(file, test): text(TESTS / suite / file).find(f"def {test}(") for file, test in tests or []}
        there = sorted((file, place, test) for (file, test), place in places.items() if place >= 0)
        chosen = [f"{file}::{test}" for file, _, test in there]
        if tests and not chosen:
            return
        with tempfile.NamedTemporaryFile(suffix=".xml") as report:
            subprocess.run([*within, "pytest", "--tb=short", "-q", f"--junitxml={report.name}", *chosen], cwd=TESTS / suite, check=False)
            written = Path(report.name).read_text()
        for case in ElementTree.fromstring(written or "<none/>").iter("testcase"):
            name = f"{suite}/{case.get('classname').replace('.', '/')}.py::{case.get('name').partition('[')[0]}"
            self.outcomes[name].append(all(case.find(bad) is None for bad in ("failure", "error", "skipped")))
            for mark in case.iterfind("properties/property[@name='requirement']"):
                self.named[mark.get("value")].add(name)

    def cargo(self, tests: dict[str, set[str]]) -> None:
        """Builds the tests and runs the named ones."""
        # The whole workspace: some crates alone would be built with other features than the unit suite has built them with.
        programs, _ = rust_tests.build(TESTS.parent)
        for program in programs:
            chosen = [test for test in program.tests() if rust_tests.function(test) in tests.get(program.crate, ())]
            if not chosen:
                continue
            print(f"-- {program.crate}: {len(chosen)} tests of {Path(program.path).name.rpartition('-')[0]}", flush=True)
            outcomes, printed = program.run(chosen)
            if any(outcomes.get(test) != "ok" for test in chosen):
                print(printed, flush=True)
            for test in chosen:
                self.outcomes[f"{program.crate}::{rust_tests.function(test)}"].append(outcomes.get(test) == "ok")


def text(file: Path) -> str:
    return file.read_text() if file.exists() else ""
