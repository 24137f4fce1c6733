"""Runs the tests that requirements name, and tells of each whether it passed: pytest's by suite, Rust's by crate."""

import json
import re
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from xml.etree import ElementTree

TESTS = Path(__file__).resolve().parent.parent
OUTCOME = re.compile(r"^test (\S+)(?: - should panic)? \.\.\. (ok|FAILED|ignored)", re.MULTILINE)

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
        chosen = [f"{file}::{test}" for file, test in tests or [] if f"def {test}(" in text(TESTS / suite / file)]
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
        build = ["cargo", "test", "--locked", "--workspace", "--no-run", "--message-format=json-render-diagnostics"]
        built = subprocess.run(build, cwd=TESTS.parent, stdout=subprocess.PIPE, text=True, check=False)
        for line in built.stdout.splitlines():
            artifact = json.loads(line)
            if artifact.get("reason") == "compiler-artifact" and artifact["executable"] and artifact["profile"]["test"]:
                folder = Path(artifact["manifest_path"]).parent
                self._binary(artifact["executable"], folder, crate_of(artifact["package_id"]), tests)

    def _binary(self, program: str, folder: Path, crate: str, tests: dict[str, set[str]]) -> None:
        listed = subprocess.run([program, "--list", "--format", "terse"], cwd=folder, capture_output=True, text=True, check=False)
        paths = [line.removesuffix(": test") for line in listed.stdout.splitlines() if line.endswith(": test")]
        chosen = [path for path in paths if path.rpartition("::")[2] in tests.get(crate, ())]
        if not chosen:
            return
        print(f"-- {crate}: {len(chosen)} tests of {Path(program).name.rpartition('-')[0]}", flush=True)
        ran = subprocess.run([program, "--exact", *chosen], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        outcomes = dict(OUTCOME.findall(ran.stdout))
        if ran.returncode:
            sys.stdout.write(ran.stdout)
        for path in chosen:
            self.outcomes[f"{crate}::{path.rpartition('::')[2]}"].append(outcomes.get(path) == "ok")


def crate_of(package: str) -> str:
    """`identity`, of `path+file:///…/dataplane/identity#portcullis-identity@0.1.0` or `…/identity#0.1.0`."""
    path, _, name = package.rpartition("#")
    name = name.partition("@")[0] if "@" in name else path.rpartition("/")[2]
    return name.removeprefix("portcullis-")


def text(file: Path) -> str:
    return file.read_text() if file.exists() else ""
