"""The mutants on the lines that the last commit changed."""

import re
import subprocess
from collections import defaultdict
from pathlib import Path

import mutants

HUNK = re.compile(r"^@@ -\S+ \+(\d+)(?:,(\d+))? @@", re.MULTILINE)


def mutants_of_changed_lines(repository: Path) -> list[mutants.Mutant]:
    lines = changed_lines(repository)
    return [each for each in mutants.listed(repository, sorted(lines)) if lines[each.file].intersection(each.lines)] if lines else []


def changed_lines(repository: Path) -> dict[str, set[int]]:
    """The lines of Rust files that differ from HEAD~1, uncommitted changes included."""
    command = ["git", "diff", "--unified=0", "--no-color", "--no-ext-diff", "-M", "HEAD~1", "--", "*.rs"]
    text = subprocess.run(command, cwd=repository, capture_output=True, text=True, check=True).stdout
    found = defaultdict(set)
    for part in re.split(r"^diff --git ", text, flags=re.MULTILINE)[1:]:
        file = re.search(r"^\+\+\+ b/(.+)$", part, re.MULTILINE)
        for start, count in HUNK.findall(part):
            if file:
                found[file[1]].update(range(int(start), int(start) + int(count or 1)))
    return found
