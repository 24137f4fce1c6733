"""The switches of tests/switches still fit the sources: what `./tests/run switches` then builds and runs."""

import re
import sys
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(REPO / "tests/switches"), str(REPO / "tests/oauth")]

import requirements  # noqa: E402
import switches  # noqa: E402

ALL = switches.read()
REQUIREMENTS = {each.id for each in requirements.read([])}


def name(switch):
    return f"{switch.of}: {switch.check}"


def test_there_are_many_and_no_two_are_the_same():
    assert len(ALL) > 150
    assert len({(each.of, each.check) for each in ALL}) == len(ALL)


@pytest.mark.parametrize("switch", ALL, ids=name)
def test_a_switch_fits(switch):
    assert switch.of in REQUIREMENTS, f"{switch.of} is no requirement"
    text = (REPO / switch.file).read_text()
    for place in switch.places:
        place.span(text)
    crate = next(path.parent for path in REPO.glob("*/*/Cargo.toml") if path.parent.name == switch.crate)
    tests = (path.read_text() for folder in ("src", "tests") for path in (crate / folder).rglob("*.rs"))
    assert any(re.search(rf"\bfn {switch.test}\b", text) for text in tests), f"{switch.crate} has no test {switch.test}"


def test_a_source_with_switches_says_the_same_where_none_is_off():
    text = "if a(b) && c { d }"
    built = switches.with_switches(text, [(3, 12, 1, "false"), (5, 6, 2, "true"), (3, 12, 3, "e")])
    assert "".join(re.sub(r"\(if crate::switched_off\(\"\d\"\) \{ \w+ \} else \{ | \}\)", "", built).split()) == "ifa(b)&&c{d}"
    assert built.count("switched_off") == 3


def test_an_expression_has_to_be_there_once():
    place = switches.Place("a == «b\n+ c»", "d")
    assert place.span("x; a == b + c; y") == (8, 13)
    for text in ("a == b - c", "a == b + c; a == b + c"):
        with pytest.raises(ValueError, match="is not there|more than once"):
            place.span(text)
