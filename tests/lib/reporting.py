"""Reporting as every suite does, and a folder per module that is kept where a test failed."""

import os
import shutil
import tempfile
from pathlib import Path

import measured
import pytest
from gateway import Gateway

counts = {"passed": 0, "failed": 0}


@pytest.fixture(scope="module")
def folder(request):
    path = Path(tempfile.mkdtemp(prefix=f"portcullis-{request.module.__name__.rpartition('.')[2]}-"))
    before = counts["failed"]
    yield path
    if counts["failed"] > before:
        print(f"\nlogs are kept in {path}")
    else:
        shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(autouse=True)
def events_of_this_test_only():
    """Keeps a test from finding the events of the tests before it."""
    for each in Gateway.all:
        if each.process and each.folder.exists():
            each.test_began = each.cursor()


def pytest_runtest_logreport(report):
    if report.skipped:
        counts["failed"] += 1  # a part that is missing is a failure
    elif report.failed:
        counts["failed"] += 1
    elif report.when == "call":
        counts["passed"] += 1


def pytest_collectreport(report):
    if report.failed:
        counts["failed"] += 1


def pytest_terminal_summary(terminalreporter):
    if measured.lines:
        terminalreporter.section("measured")
        for line in measured.lines:
            terminalreporter.write_line(line)


def pytest_unconfigure(config):
    if not config.option.collectonly:
        print(f"{counts['passed']} passed, {counts['failed']} failed", flush=True)


def require(variable: str, what: str) -> None:
    """Ends the run at once where an environment variable does not name a file that tests need."""
    if not Path(os.environ.get(variable, "")).exists() or not os.environ.get(variable):
        pytest.exit(f"{variable} does not name {what}: use ./tests/run", returncode=1)
