"""The requirements of requirements.yaml, read strictly."""

import re
from dataclasses import dataclass
from pathlib import Path

import yaml

FILE = Path(__file__).with_name("requirements.yaml")
ID = re.compile(r"[a-z]+(\.[a-z0-9-]+)+")


@dataclass
class Requirement:
    id: str
    source: str
    says: str


def read(beginnings: list[str]) -> list[Requirement]:
    """All of them, or those whose ids begin so. Raises a `ValueError` that says what is wrong with the file."""
    found = [Requirement(**entry) for entry in yaml.safe_load(FILE.read_text())]
    for each in found:
        if not ID.fullmatch(each.id):
            raise ValueError(f"{each.id!r} is not the id of a requirement")
    ids = [each.id for each in found]
    if twice := {id for id in ids if ids.count(id) > 1}:
        raise ValueError(f"duplicate ids: {', '.join(sorted(twice))}")
    return [each for each in found if not beginnings or each.id.startswith(tuple(beginnings))]
