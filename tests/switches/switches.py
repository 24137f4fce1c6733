"""The switches as written down in switches.yaml, and sources in which they are built."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import yaml

FILE = Path(__file__).with_name("switches.yaml")
VARIABLE = "PORTCULLIS_SWITCHED_OFF"
MEMBERS = {"of", "check", "in", "find", "put", "noticed"}
TEST = re.compile(r"(?P<crate>[a-z-]+)::(?P<test>[a-z0-9_]+)")

# Nobody looks for what is unused in the copy, or would look better without parentheses.
LINTS = ("[workspace.lints.rust]\n", '[workspace.lints.rust]\nunused = { level = "allow", priority = -1 }\n')

# Stands in the root of each crate that has switches, in the copy alone.
ASK = f"""
/// Whether a check is switched off.
pub(crate) fn switched_off(check: &str) -> bool {{
    std::env::var("{VARIABLE}").is_ok_and(|off| off == check)
}}
"""


@dataclass(frozen=True)
class Place:
    """An expression, and what stands in its place while the check is switched off."""

    find: str
    put: str

    def span(self, text: str) -> tuple[int, int]:
        """Where it is in a source. Raises a `ValueError` where it is not there exactly once."""
        before, mark, rest = self.find.partition("«")
        expression, _, after = rest.partition("»") if mark else (before, "", "")
        before = before if mark else ""
        at = [place for place, character in enumerate(text) if not character.isspace()]
        dense, wanted = "".join(text[place] for place in at), squeezed(before + expression + after)
        first = dense.find(wanted)
        if first < 0:
            raise ValueError(f"{self.find!r} is not there")
        if dense.find(wanted, first + 1) >= 0:
            raise ValueError(f"{self.find!r} is there more than once")
        start = first + len(squeezed(before))
        return at[start], at[start + len(squeezed(expression)) - 1] + 1


@dataclass(frozen=True)
class Switch:
    """One check, and how it is switched off."""

    number: int
    of: str
    check: str
    file: str
    places: tuple[Place, ...]
    crate: str
    test: str


def squeezed(text: str) -> str:
    return "".join(text.split())


def read(beginnings: list[str] = ()) -> list[Switch]:
    """All of them, or those of requirements whose ids begin so. Raises a `ValueError` that says what is wrong with the file."""
    found = []
    for number, entry in enumerate(yaml.safe_load(FILE.read_text())):
        if set(entry) != MEMBERS:
            raise ValueError(f"{entry.get('check', number)}: its members have to be {', '.join(sorted(MEMBERS))}")
        noticed = TEST.fullmatch(entry["noticed"])
        if not noticed:
            raise ValueError(f"{entry['check']}: {entry['noticed']!r} names no test: write CRATE::TEST")
        finds, puts = (value if isinstance(value, list) else [value] for value in (entry["find"], entry["put"]))
        puts = puts if len(puts) > 1 else puts * len(finds)
        places = tuple(Place(*pair) for pair in zip(finds, puts, strict=True))
        found.append(Switch(number, entry["of"], entry["check"], entry["in"], places, *noticed.group("crate", "test")))
    return [each for each in found if not beginnings or each.of.startswith(tuple(beginnings))]


def crate_root(repository: Path, file: str) -> str:
    """The root source of the crate that a file is in."""
    folder = next(each for each in (repository / file).parents if (each / "Cargo.toml").exists())
    root = next(each for each in (folder / "src/lib.rs", folder / "src/main.rs") if each.exists())
    return root.relative_to(repository).as_posix()


def switchable(repository: Path, switches: list[Switch]) -> dict[str, str]:
    """The sources with all of these switches built in, by file: an environment variable says which one is off. Raises a
    `ValueError` for an expression that is not where it is said to be."""
    texts = {}
    for file in sorted({each.file for each in switches}):
        text = (repository / file).read_text()
        spans = []
        for each in (each for each in switches if each.file == file):
            for place in each.places:
                try:
                    spans.append((*place.span(text), each.number, place.put))
                except ValueError as wrong:
                    raise ValueError(f"{each.of}, {each.check}: {file}: {wrong}") from None
        texts[file] = with_switches(text, spans)
    for root in {crate_root(repository, file) for file in texts}:
        texts[root] = texts.get(root, (repository / root).read_text()) + ASK
    return texts | {"Cargo.toml": (repository / "Cargo.toml").read_text().replace(*LINTS)}


def with_switches(text: str, spans: list[tuple[int, int, int, str]]) -> str:
    """A source in which each span (start, end, number, what stands in its place) is as it was unless its number is off."""
    return edited(text, [(start, end, switch(number, put)) for start, end, number, put in spans])


def switch(number: int, put: str) -> Callable[[str], str]:
    return lambda text: f'(if crate::switched_off("{number}") {{ {put} }} else {{ {text} }})'


def edited(text: str, edits: list[tuple[int, int, Callable[[str], str]]]) -> str:
    """A text with spans of it changed; one that lies in another is changed first."""
    todo = [list(edit) for edit in sorted(edits, key=lambda edit: (-edit[0], edit[1]))]
    for place, (start, end, change) in enumerate(todo):
        instead = change(text[start:end])
        text = text[:start] + instead + text[end:]
        for around in todo[place + 1 :]:
            if around[1] >= end:
                around[1] += len(instead) - (end - start)
    return text
