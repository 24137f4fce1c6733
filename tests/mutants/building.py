"""Builds a crate's tests with all of its mutants in them. Mutants that the compiler rejects are left out, and the build is repeated."""

import math
import re
import time
import tomllib
from pathlib import Path

import edits
import rust_tests
import scratch
from mutants import RUST, Mutant

REACHED = "PORTCULLIS_MUTANTS_REACHED"
NOT_EXHAUSTIVE = "E0004"
NUMBER = re.compile(r'switched_off\("(\d+)"\)')

# Whether a mutant is on. Also records the mutants that a run reaches, if a file is named for them.
ASK = f"""
/// Whether a mutant is on.
pub(crate) fn switched_off(mutant: &str) -> bool {{
    use std::io::Write as _;
    static REACHED: std::sync::Mutex<std::collections::BTreeSet<String>> = std::sync::Mutex::new(std::collections::BTreeSet::new());
    if let Ok(path) = std::env::var("{REACHED}") {{
        let mut reached = REACHED.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if reached.insert(mutant.to_owned()) {{
            let mut file = std::fs::OpenOptions::new().create(true).append(true).open(path).unwrap();
            file.write_all(format!("{{mutant}}\\n").as_bytes()).unwrap();
        }}
    }}
    std::env::var("{edits.VARIABLE}").is_ok_and(|on| on == mutant)
}}
"""


def texts(repository: Path, mutants: list[Mutant]) -> dict[str, str]:
    """The sources with these mutants in them, and the manifests that select the tests of their crates, by file."""
    workspace = (repository / "Cargo.toml").read_text()
    built = {"Cargo.toml": workspace.replace(*edits.LINTS)}
    crates = {each.crate for each in mutants}
    for member in tomllib.loads(workspace)["workspace"]["members"]:
        manifest = (repository / member / "Cargo.toml").read_text()
        if rust_tests.short(tomllib.loads(manifest)["package"]["name"]) not in crates:
            built[f"{member}/Cargo.toml"] = edits.without_tests(manifest, (repository / member / "src/lib.rs").exists())
    for file in {each.file for each in mutants}:
        changes = [each.edit for each in mutants if each.file == file]
        built[file] = edits.edited((repository / file).read_text(), changes)
    for root in {edits.crate_root(repository, file) for file in built if file.endswith(".rs")}:
        built[root] = built.get(root, (repository / root).read_text()) + ASK
    return built


def build(
    repository: Path, folder: Path, mutants: list[Mutant], env: dict[str, str], deadline: float = math.inf
) -> tuple[list[rust_tests.Program], set[int]]:
    """The test programs of their crates, and the numbers of the mutants in them. Raises `TimeoutExpired` at the deadline, and a
    `RuntimeError` if the build fails for another reason than the mutants."""
    left = [each for each in mutants if each.edit]
    while left:
        scratch.copy(repository, folder, texts(repository, left))
        errors = []
        timeout = None if deadline == math.inf else max(0.0, deadline - time.monotonic())
        programs, built = rust_tests.build(folder, env=env, errors=errors, timeout=timeout)
        if built:
            return programs, {each.number for each in left}
        refused = set().union(*(about(folder, error) for error in errors))
        if not refused:
            raise RuntimeError("the compiler refuses more than mutants:\n" + "\n".join(error["rendered"] for error in errors[:5]))
        print(f"-- the compiler refuses {len(refused)} of {len(left)}", flush=True)
        left = [each for each in left if each.number not in refused]
    return [], set()


def about(folder: Path, error: dict) -> set[int]:
    """The mutants that an error is about: those of the arms of a match that covers not everything any more; else the one in whose code it
    is, the nearest around it, or the last before it."""
    span = next((span for span in error["spans"] if span["is_primary"]), None)
    while span and span["expansion"]:
        span = span["expansion"]["span"]  # what a macro was called with
    if not span:
        return set()
    code = (folder / span["file_name"]).read_bytes()
    node = RUST.parse(code).root_node.descendant_for_byte_range(span["byte_start"], span["byte_end"])
    if (error["code"] or {}).get("code") == NOT_EXHAUSTIVE:
        while node is not None and node.type != "match_expression":
            node = node.parent
        arms = node.child_by_field_name("body").named_children if node else []
        patterns = [arm.child_by_field_name("pattern") for arm in arms if arm.type == "match_arm"]
        return {int(number) for pattern in patterns for number in NUMBER.findall(pattern.text.decode())}
    while node is not None:
        condition = node.child_by_field_name("condition") if node.type == "if_expression" else None
        if condition is not None and (number := NUMBER.fullmatch(condition.text.decode().removeprefix("crate::"))):
            return {int(number[1])}
        node = node.parent
    numbers = NUMBER.findall(code[: span["byte_end"]].decode(errors="replace"))
    return {int(numbers[-1])} if numbers else set()
