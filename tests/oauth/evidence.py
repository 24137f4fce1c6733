"""What became of tests. In a whole run it is read from what the suites before this one have written; alone, this suite runs them."""

import json
import os
import subprocess
import tempfile
from collections import defaultdict
from pathlib import Path
from xml.etree import ElementTree

import rust_tests

TESTS = Path(__file__).resolve().parent.parent
RESULTS = os.environ.get("PORTCULLIS_RESULTS")

PASSED, FAILED, ABSENT = "passed", "FAILED", "DID NOT RUN"


class Evidence:
    """Outcomes by test: `SUITE/FILE.py::TEST` with all its parameters, `CRATE::TEST`."""

    def __init__(self):
        self.outcomes: dict[str, list[bool]] = defaultdict(list)

    def outcome(self, name: str) -> str:
        found = self.outcomes.get(name)
        return ABSENT if not found else PASSED if all(found) else FAILED

    def suite(self, suite: str, tests: list[str]) -> None:
        """These tests (`FILE.py::TEST`) of another suite."""
        if RESULTS:
            self.read_pytest(suite, read(Path(RESULTS) / f"{suite}.xml"))
        else:
            self.run_pytest(suite, in_file_order(suite, tests))

    def run_pytest(self, suite: str, tests: list[str], *, within: tuple[str, ...] = ()) -> None:
        """Runs these, or all of the suite, by the command `within`."""
        with tempfile.NamedTemporaryFile(suffix=".xml") as report:
            command = [*within, "pytest", "--tb=short", "-q", f"--junitxml={report.name}", *tests]
            environment = {name: value for name, value in os.environ.items() if name != "PYTEST_ADDOPTS"}
            subprocess.run(command, cwd=TESTS / suite, check=False, env=environment)
            self.read_pytest(suite, Path(report.name).read_text())

    def read_pytest(self, suite: str, report: str) -> None:
        for case in ElementTree.fromstring(report or "<none/>").iter("testcase"):
            name = f"{suite}/{case.get('classname').replace('.', '/')}.py::{case.get('name').partition('[')[0]}"
            self.outcomes[name].append(all(case.find(bad) is None for bad in ("failure", "error", "skipped")))

    def cargo(self, tests: dict[str, set[str]]) -> None:
        """These tests of crates."""
        if RESULTS:
            for name, outcomes in json.loads(read(Path(RESULTS) / "cargo.json") or "{}").items():
                self.outcomes[name] += outcomes
            return
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


def in_file_order(suite: str, tests: list[str]) -> list[str]:
    """As they stand in their files: what a file's tests share goes through them in that order."""

    def place(test: str) -> tuple[str, int]:
        file, _, function = test.partition("::")
        return file, read(TESTS / suite / file).find(f"def {function}(")

    return sorted(tests, key=place)


def read(file: Path) -> str:
    return file.read_text() if file.exists() else ""
