"""Builds the tests of the workspace and runs them. What failed is printed, and in a whole run the outcome of each test is written for the
suite `oauth`."""

import json
import os
import sys
import time
from collections import defaultdict
from pathlib import Path

import rust_tests

REPO = Path(__file__).resolve().parent.parent.parent


def main() -> int:
    programs, built = rust_tests.build(REPO)
    outcomes, slowest = defaultdict(list), []
    for program in programs:
        tests = program.tests()
        if not tests:
            continue
        began = time.monotonic()
        found, printed = program.run(tests)
        slowest.append((time.monotonic() - began, f"{program.crate}: {Path(program.path).name.rpartition('-')[0]}"))
        failed = [test for test in tests if found.get(test) != "ok"]
        print(f"{program.crate}: {Path(program.path).name.rpartition('-')[0]}: {len(tests) - len(failed)} passed, {len(failed)} failed", flush=True)
        if failed:
            print(printed, flush=True)
        for test in tests:
            outcomes[f"{program.crate}::{rust_tests.function(test)}"].append(found.get(test) == "ok")
    if results := os.environ.get("PORTCULLIS_RESULTS"):
        (Path(results) / "cargo.json").write_text(json.dumps(outcomes))
    for seconds, name in sorted(slowest, reverse=True)[:5]:
        print(f"{seconds:6.1f} s  {name}")
    every = [each for several in outcomes.values() for each in several]
    failed = len(every) - sum(every) + (not built)
    print(f"cargo: {sum(every)} passed, {failed} failed", flush=True)
    return 1 if failed else 0


sys.exit(main())
