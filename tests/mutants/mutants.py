"""The mutants that `cargo mutants` lists, as changes of the sources that an environment variable turns on one at a time."""

import json
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import rust_tests
import tree_sitter
import tree_sitter_rust

RUST = tree_sitter.Parser(tree_sitter.Language(tree_sitter_rust.language()))

Edit = tuple[int, int, Callable[[str], str]]


@dataclass(frozen=True)
class Mutant:
    """One of them. `was` and `becomes` are the expression, or of a function its name and what it returns instead."""

    number: int
    file: str
    lines: range
    crate: str
    function: str
    was: str
    becomes: str
    edit: Edit | None  # where the way of this suite does not reach, there is none

    def __str__(self) -> str:
        return f"{self.file}: {self.function}: {self.was} → {self.becomes}"


class Source:
    """A file of Rust: its text, and where in it something is."""

    def __init__(self, path: Path):
        self.text = path.read_text()
        self.lines = [0]
        for line in self.text.splitlines(keepends=True):
            self.lines.append(self.lines[-1] + len(line))
        self.bytes = self.text.encode()
        self.root = RUST.parse(self.bytes).root_node

    def place(self, point: dict) -> int:
        return self.lines[point["line"] - 1] + point["column"] - 1

    def in_bytes(self, place: int) -> int:
        return len(self.text[:place].encode())

    def in_text(self, place: int) -> int:
        return len(self.bytes[:place].decode())

    def around(self, start: int, end: int, kinds: set[str]) -> tree_sitter.Node | None:
        """The smallest thing of one of these kinds that a span is in."""
        node = self.root.descendant_for_byte_range(self.in_bytes(start), self.in_bytes(end))
        while node is not None and node.type not in kinds:
            node = node.parent
        return node

    def is_for_fuzzing(self, start: int, end: int) -> bool:
        """Whether it is of a function that only the fuzz targets are built with."""
        before = self.around(start, end, {"function_item"})
        while before is not None and (before := before.prev_sibling) is not None and before.type in ("attribute_item", "line_comment"):
            if before.text == b"#[cfg(fuzzing)]":
                return True
        return False

    def span(self, node: tree_sitter.Node) -> tuple[int, int]:
        return self.in_text(node.start_byte), self.in_text(node.end_byte)


def listed(repository: Path, beginnings: list[str]) -> list[Mutant]:
    """All that `.cargo/mutants.toml` asks for, of files whose paths begin so."""
    command = ["cargo", "mutants", "--list", "--json", "--workspace"]
    answer = json.loads(subprocess.run(command, cwd=repository, capture_output=True, text=True, check=True).stdout)
    sources = {file: Source(repository / file) for file in {entry["file"] for entry in answer}}
    found = [mutant(number, entry, sources[entry["file"]]) for number, entry in enumerate(answer)]
    return [each for each in found if each and (not beginnings or each.file.startswith(tuple(beginnings)))]


def mutant(number: int, entry: dict, source: Source) -> Mutant | None:
    """`None` where it is not of the product."""
    start, end = (source.place(entry["span"][which]) for which in ("start", "end"))
    if source.is_for_fuzzing(start, end):
        return None
    function = (entry["function"] or {}).get("function_name", "")
    was, becomes, edit = {
        "FnValue": of_function,
        "BinaryOperator": of_operator,
        "UnaryOperator": of_operator,
        "MatchArm": of_arm,
        "MatchArmGuard": of_guard,
    }.get(entry["genre"], of_nothing)(str(number), source, start, end, entry["replacement"])
    crate = rust_tests.short(entry["package"])
    lines = range(entry["span"]["start"]["line"], entry["span"]["end"]["line"] + 1)
    return Mutant(number, entry["file"], lines, crate, function, " ".join(was.split()), " ".join(becomes.split()), edit)


def of_function(number: str, _: Source, start: int, __: int, replacement: str) -> tuple[str, str, Edit | None]:
    """Another value is returned before anything is done."""
    leave = f'if crate::switched_off("{number}") {{ return {replacement}; }} '
    return "the whole", replacement, (start, start, lambda text: leave + text)


def of_operator(number: str, source: Source, start: int, end: int, replacement: str) -> tuple[str, str, Edit | None]:
    """The expression with the other operator, or without it."""
    node = source.around(start, end, {"binary_expression", "compound_assignment_expr", "unary_expression"})
    if node is None:
        return of_nothing(number, source, start, end, replacement)
    first, last = source.span(node)
    was = source.text[first:last]
    becomes = was[: start - first] + replacement + was[end - first :]
    return was, becomes, (first, last, either(number, becomes))


def of_guard(number: str, source: Source, start: int, end: int, replacement: str) -> tuple[str, str, Edit | None]:
    return "if " + source.text[start:end], replacement, (start, end, either(number, replacement))


def of_arm(number: str, source: Source, start: int, end: int, _: str) -> tuple[str, str, Edit | None]:
    """The arm never matches."""
    arm = source.around(start, end, {"match_arm"})
    _, last = source.span(arm.child_by_field_name("pattern"))
    never = f' if !crate::switched_off("{number}")'
    return source.text[start:last] + " =>", "no such arm", (last, last, lambda text: never + text)


def of_nothing(_: str, source: Source, start: int, end: int, replacement: str) -> tuple[str, str, Edit | None]:
    return source.text[start:end], replacement or "nothing", None


def either(number: str, instead: str) -> Callable[[str], str]:
    return lambda text: f'(if crate::switched_off("{number}") {{ {instead} }} else {{ {text} }})'
