"""Which tests show which requirement. The ids stand at the tests: `@pytest.mark.requirement(ID, ...)` in Python, and a line
`/// Requirements: ID, ...` in the doc comment of a Rust test."""

import ast
import re
from collections import defaultdict
from pathlib import Path

TESTS = Path(__file__).resolve().parent.parent
REPO = TESTS.parent
RUST_TEST = re.compile(r"((?:^[ \t]*(?:///|#\[|#!\[).*\n)+)^[ \t]*(?:pub(?:\(\w+\))? )?(?:async )?fn (\w+)", re.MULTILINE)
IDS = re.compile(r"/// Requirements: (.+)")


def by_pytest() -> dict[str, set[str]]:
    """Ids, each with its tests as `SUITE/FILE.py::TEST`."""
    found = defaultdict(set)
    for path in sorted(TESTS.glob("*/test_*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                for id in ids(node):
                    found[id].add(f"{path.relative_to(TESTS).as_posix()}::{node.name}")
    return found


def ids(function: ast.FunctionDef | ast.AsyncFunctionDef) -> list[str]:
    """The ids that the markers of a function name."""
    calls = [each for each in function.decorator_list if isinstance(each, ast.Call)]
    marks = [each for each in calls if ast.unparse(each.func) in ("pytest.mark.requirement", "requirement")]
    return [ast.literal_eval(argument) for each in marks for argument in each.args]


def by_cargo() -> dict[str, set[str]]:
    """Ids, each with its tests as `CRATE::TEST`."""
    found = defaultdict(set)
    for manifest in [*REPO.glob("*/Cargo.toml"), *REPO.glob("*/*/Cargo.toml")]:
        for folder in ("src", "tests"):
            for path in sorted((manifest.parent / folder).rglob("*.rs")):
                for head, function in RUST_TEST.findall(path.read_text()):
                    for id in (id.strip() for line in IDS.findall(head) for id in line.split(",")):
                        found[id].add(f"{manifest.parent.name}::{function}")
    return found
