"""What people read is plain English: documents, charts, pages, doc comments, and the strings of the programs."""

import re
from pathlib import Path

import pytest
import tree_sitter
import tree_sitter_rust

REPO = Path(__file__).resolve().parent.parent.parent
RUST = tree_sitter.Parser(tree_sitter.Language(tree_sitter_rust.language()))
BANNED = re.compile(
    r"\b(whoever|lest|in earnest|thereof|for want of|nobody's|shall|(?:is|are) told|not to be had|of one's own|mend(?:s|ed|ing)?)\b",
    re.IGNORECASE,
)
PROSE = ["*.md", "docs/**/*.md", "crds/manifests/*.yaml", "charts/**/*", "examples/**/*", "dataplane/**/*.md", "dataplane/**/*.html", "image/*", "Dockerfile"]


def prose():
    return sorted({path for pattern in PROSE for path in REPO.glob(pattern) if path.is_file()} - {REPO / "LICENSE"})


def rust():
    return sorted(path for place in ("crds", "common", "operator", "dataplane") for path in (REPO / place).rglob("*.rs") if "target" not in path.parts)


def is_test(node, source):
    """Whether a node is inside a `#[cfg(test)]` module or a test function."""
    while node is not None:
        before = node.prev_named_sibling
        while before is not None and before.type in ("attribute_item", "line_comment"):
            if before.type == "attribute_item" and b"test" in before.text:
                return True
            before = before.prev_named_sibling
        node = node.parent
    return False


def texts(path):
    """Doc comments and string literals outside tests."""
    source = path.read_bytes()
    todo = [RUST.parse(source).root_node]
    while todo:
        node = todo.pop()
        if node.type in ("line_comment", "block_comment", "string_literal", "raw_string_literal"):
            is_comment = node.type.endswith("comment")
            if not is_test(node, source) and (not is_comment or node.text.startswith((b"///", b"//!"))):
                yield node.start_point[0] + 1, node.text.decode()
        elif not (node.type in ("mod_item", "function_item") and is_test(node, source)):
            todo.extend(node.children)


@pytest.mark.parametrize("path", prose(), ids=lambda path: path.relative_to(REPO).as_posix())
def test_documents_are_plain_english(path):
    found = [f"line {number}: {match[0]}" for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1) for match in BANNED.finditer(line)]
    assert not found, found


@pytest.mark.parametrize("folder", ["crds", "common", "operator", "dataplane"])
def test_strings_and_doc_comments_are_plain_english(folder):
    found = []
    for path in rust():
        relative = path.relative_to(REPO)
        if relative.parts[0] == folder and "tests" not in relative.parts and path.stem not in ("tests", "golden", "testing"):
            found += [f"{relative}:{line}: {match[0]}" for line, text in texts(path) for match in BANNED.finditer(" ".join(text.split()))]
    assert not found, "\n".join(found)
