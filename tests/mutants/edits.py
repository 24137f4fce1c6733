"""Edits of the sources that a mutant needs: in a copy of the tree, behind an environment variable that says which one is on."""

from collections.abc import Callable
from pathlib import Path

VARIABLE = "PORTCULLIS_MUTANT"

# The copy may have unused code and superfluous parentheses.
LINTS = ("[workspace.lints.rust]\n", '[workspace.lints.rust]\nunused = { level = "allow", priority = -1 }\n')


def without_tests(manifest: str, has_library: bool) -> str:
    """A manifest whose crate has no tests, nor examples, which `cargo test` also builds. A build of the workspace then builds the tests of
    the other crates only, with the features of the whole workspace. `cargo test -p` would compile libraries again, with fewer features."""
    manifest = manifest.replace("[package]\n", "[package]\nautotests = false\nautoexamples = false\n", 1)
    manifest = manifest.replace("[[bin]]\n", "[[bin]]\ntest = false\n")
    return manifest + "\n[lib]\ntest = false\ndoctest = false\n" if has_library else manifest


def crate_root(repository: Path, file: str) -> str:
    """The root source of the crate that contains a file."""
    folder = next(each for each in (repository / file).parents if (each / "Cargo.toml").exists())
    root = next(each for each in (folder / "src/lib.rs", folder / "src/main.rs") if each.exists())
    return root.relative_to(repository).as_posix()


def edited(text: str, edits: list[tuple[int, int, Callable[[str], str]]]) -> str:
    """A text with spans of it changed. A span inside another is changed first."""
    todo = [list(edit) for edit in sorted(edits, key=lambda edit: (-edit[0], edit[1]))]
    for place, (start, end, change) in enumerate(todo):
        instead = change(text[start:end])
        text = text[:start] + instead + text[end:]
        for around in todo[place + 1 :]:
            if around[1] >= end:
                around[1] += len(instead) - (end - start)
    return text
