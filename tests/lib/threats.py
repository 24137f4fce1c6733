"""The list of threats (`threats.yaml`) and which test stands against each: printed with results, and held to be complete."""

import re
from pathlib import Path

import yaml

REPO = Path(__file__).resolve().parent.parent.parent


class Threats:
    """A line without a test, a test that is not there, and a test of this suite that no line names are failures of the suite."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.groups: dict[str, list[dict]] = yaml.safe_load((folder / "threats.yaml").read_text())
        self.results: dict[str, str] = {}

    def note(self, report) -> None:
        """A parametrized test has passed when all its cases have."""
        name = Path(report.nodeid.partition("::")[0]).name + "::" + report.nodeid.partition("::")[2].partition("[")[0]
        if report.failed or report.skipped:
            self.results[name] = "FAILED"
        elif report.when == "call":
            self.results.setdefault(name, "passed")

    def problems(self) -> list[str]:
        found, named = [], set()
        for group, lines in self.groups.items():
            for line in lines:
                if not line.get("tests"):
                    found.append(f"{group}: no test stands against: {line['threat']}")
                for test in line.get("tests", []):
                    named.add(test)
                    if not self.exists(test):
                        found.append(f"{group}: there is no test {test}")
        for path in sorted(self.folder.glob("test_*.py")):
            for name in re.findall(r"^def (test_\w+)", path.read_text(), re.MULTILINE):
                if f"{path.name}::{name}" not in named:
                    found.append(f"threats.yaml does not name {path.name}::{name}")
        return found

    def exists(self, test: str) -> bool:
        """A test of this suite by file and name; one from elsewhere by its path in the repository."""
        place, _, name = test.partition("::")
        path = REPO / place if "/" in place else self.folder / place
        return path.exists() and re.search(rf"\bfn {name}\(|^def {name}\(", path.read_text(), re.MULTILINE) is not None

    def report(self, *, whole: bool) -> int:
        """Prints the table; returns how many problems it has."""
        print("\n\nthreat → source → what stands against it")
        for group, lines in self.groups.items():
            print(f"\n{group}")
            for line in lines:
                print(f"  {line['threat']}  ({line['source']})")
                for test in line.get("tests", []):
                    there = "in its own suite" if "/" in test else self.results.get(test, "not run")
                    print(f"    {there:16} {test}")
        problems = self.problems()
        if whole:
            problems += [f"{test} was not run" for lines in self.groups.values() for line in lines for test in line["tests"] if "/" not in test and test not in self.results]
        for problem in problems:
            print(f"FAILED: {problem}")
        print()
        return len(problems)
