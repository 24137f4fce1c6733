"""The edits with which tests/mutants builds all mutants at once."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "mutants"))

import edits  # noqa: E402


def test_a_span_inside_another_is_edited_first():
    text = "if a(b) && c { d }"
    wrapped = edits.edited(text, [(3, 12, lambda text: f"(1:{text})"), (5, 6, lambda text: f"(2:{text})"), (3, 12, lambda text: f"(3:{text})")])
    assert wrapped in ("if (3:(1:a((2:b)) && c)) { d }", "if (1:(3:a((2:b)) && c)) { d }")
