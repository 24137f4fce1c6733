"""The mutants on the lines that changed since the commit before."""

import re
import subprocess
from collections import defaultdict
from pathlib import Path

import mutants

BASE = "HEAD~1"
HUNK = re.compile(r"^@@ -\S+ \+(\d+)(?:,(\d+))? @@", re.MULTILINE)
NEW_NAME = re.compile(r"^\+\+\+ b/(.+)$", re.MULTILINE)


def mutants_of_changed_lines(repository: Path) -> list[mutants.Mutant]:
    lines = changed_lines(repository)
    return [each for each in mutants.listed(repository, sorted(lines)) if lines[each.file].intersection(each.lines)] if lines else []


def changed_lines(repository: Path) -> dict[str, set[int]]:
    """The lines of each Rust file that differ from HEAD~1, including uncommitted changes. Empty without HEAD~1: in a shallow clone, and
    after a first commit."""
    exists = git(repository, "rev-parse", "--verify", "--quiet", f"{BASE}^{{commit}}")
    if exists.returncode == 1:
        return {}
    exists.check_returncode()
    options = ["--unified=0", "--no-color", "--no-ext-diff", "--src-prefix=a/", "--dst-prefix=b/", "-M"]
    diff = git(repository, "diff", *options, BASE, "--", "*.rs")
    diff.check_returncode()
    found = defaultdict(set)
    for part in re.split(r"^diff --git ", diff.stdout, flags=re.MULTILINE)[1:]:
        file = NEW_NAME.search(part)
        for start, count in HUNK.findall(part):
            if file:
                found[file[1]].update(range(int(start), int(start) + int(count or 1)))
    return found


def git(repository: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["git", *arguments], cwd=repository, capture_output=True, text=True, check=False)
