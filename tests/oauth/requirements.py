"""The requirements as written down in requirements.yaml, read strictly."""

import re
from dataclasses import dataclass, field
from pathlib import Path

import yaml

FILE = Path(__file__).with_name("requirements.yaml")
ID = re.compile(r"[a-z]+(\.[a-z0-9-]+)+")
NAME = re.compile(r"(?P<where>[a-z-]+/test_[a-z_]+\.py|[a-z]+)::(?P<test>[a-z0-9_]+)")


@dataclass
class Requirement:
    id: str
    source: str
    says: str
    tests: list[str] = field(default_factory=list)


def read(beginnings: list[str]) -> list[Requirement]:
    """All of them, or those whose ids begin so. Raises a `ValueError` that says what is wrong with the file."""
    found = [Requirement(**entry) for entry in yaml.safe_load(FILE.read_text())]
    for each in found:
        if not ID.fullmatch(each.id):
            raise ValueError(f"{each.id!r} is no id of a requirement")
        for name in each.tests:
            if not NAME.fullmatch(name):
                raise ValueError(f"{each.id}: {name!r} names no test: write SUITE/FILE.py::TEST or CRATE::TEST")
    ids = [each.id for each in found]
    if twice := {id for id in ids if ids.count(id) > 1}:
        raise ValueError(f"ids that are there twice: {', '.join(sorted(twice))}")
    return [each for each in found if not beginnings or each.id.startswith(tuple(beginnings))]


def place(name: str) -> tuple[str, str]:
    """Where a test is (a file beside this folder, or a crate), and what it is called there."""
    return NAME.fullmatch(name).group("where", "test")
