"""One run of the suite and what it found, check by check."""

import json
import re
import subprocess
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from processes import Process

REVISIONS = ("2025-11-25", "2026-07-28")
SCENARIO = r"(.+)-\d{4}-\d\d-\d\dT[\dZ-]+"
DECIDED = ("SUCCESS", "FAILURE", "WARNING", "SKIPPED")
LONGEST_SCENARIO = 15  # the longest takes about 5 s
LONGEST_RUN = 150


@dataclass
class Check:
    id: str
    name: str
    status: str
    message: str

    def __str__(self):
        return f"{self.status}{f' ({self.message})' if self.message else ''}"


Findings = dict[str, list[Check]]  # by scenario


def everything(url: str, revision: str, folder: Path) -> Findings:
    """Runs every server scenario that the revision requires or the suite reports on."""
    return run(folder, "--url", url, "--requirements", revision)


def run(folder: Path, *arguments: str) -> Findings:
    argv = ["conformance", "server", *arguments, "--timeout", LONGEST_SCENARIO * 1000, "-o", folder]
    with Process(argv, log=folder / "suite.log") as suite:
        try:
            suite.popen.wait(LONGEST_RUN)
        except subprocess.TimeoutExpired:
            print(f"the suite did not end within {LONGEST_RUN} s; what it had found by then counts")
    findings = read(folder)
    if not findings:
        print(f"the suite found nothing; it wrote:\n{suite.text()[-2000:]}")
    return findings


def read(folder: Path, mode: str = "server") -> Findings:
    """The checks that the suite left in `folder`. What is only informative (`INFO`: a trace of the traffic, mostly) is left out."""
    found: Findings = {}
    name = re.compile(f"(?:{mode}-)?{SCENARIO}" if mode == "client" else f"{mode}-{SCENARIO}")
    for file in sorted(folder.glob("**/checks.json")):
        if match := name.fullmatch(file.parent.relative_to(folder).as_posix()):
            checks = json.loads(file.read_text())
            found[match[1]] = [
                Check(each["id"], each["name"], each["status"], each.get("errorMessage") or "") for each in checks if each["status"] in DECIDED
            ]
    return found


def count(findings: Findings, status: str) -> int:
    return sum(check.status == status for checks in findings.values() for check in checks)


def summary(findings: Findings) -> str:
    return "/".join(str(count(findings, status)) for status in ("SUCCESS", "FAILURE", "WARNING"))


ABSENT = Check("", "", "not found", "")


def pairs(straight: list[Check], other: list[Check]):
    """Checks of one scenario side by side: a check that one side lacks is `not found` there."""
    by_key: dict[tuple, tuple[list, list]] = defaultdict(lambda: ([], []))
    for place, checks in enumerate((straight, other)):
        for check in checks:
            by_key[check.id, check.name][place].append(check)
    for (id, name), (here, there) in by_key.items():
        longest = max(len(here), len(there))
        for one, two in zip(here + [ABSENT] * (longest - len(here)), there + [ABSENT] * (longest - len(there)), strict=True):
            yield f"{id} ({name})", one, two
