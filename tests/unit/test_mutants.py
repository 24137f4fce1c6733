"""How tests/mutants builds all mutants at once, selects those of changed lines, keeps its budget, and reports."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(TESTS / "mutants"), str(TESTS / "lib")]

import changed  # noqa: E402
import edits  # noqa: E402
import mutants  # noqa: E402
import table  # noqa: E402
import trials  # noqa: E402


def mutant(number: int, lines: range, file: str = "mcp/src/lib.rs") -> mutants.Mutant:
    return mutants.Mutant(number, file, lines, "mcp", "parse", f"a < {number}", f"a > {number}", None)


class Repository:
    """A repository in which each commit contains the given files."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.git("init", "--quiet")

    def git(self, *arguments: str) -> None:
        who = ["-c", "user.name=test", "-c", "user.email=test@example.com"]
        subprocess.run(["git", *who, *arguments], cwd=self.folder, check=True)

    def write(self, **files: list[str] | None) -> None:
        for name, lines in files.items():
            path = self.folder / f"{name}.rs"
            path.unlink() if lines is None else path.write_text("".join(f"{line}\n" for line in lines))

    def commit(self, **files: list[str] | None) -> None:
        self.write(**files)
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", "a change")


@pytest.fixture
def repository(tmp_path):
    return Repository(tmp_path)


def test_a_span_inside_another_is_edited_first():
    text = "if a(b) && c { d }"
    wrapped = edits.edited(text, [(3, 12, lambda text: f"(1:{text})"), (5, 6, lambda text: f"(2:{text})"), (3, 12, lambda text: f"(3:{text})")])
    assert wrapped in ("if (3:(1:a((2:b)) && c)) { d }", "if (1:(3:a((2:b)) && c)) { d }")


def test_a_manifest_without_tests_is_valid_and_keeps_the_rest():
    manifest = '[package]\nname = "a"\n\n[[bin]]\nname = "b"\n\n[dependencies]\nc = "1"\n'
    package = tomllib.loads(edits.without_tests(manifest, has_library=True))
    assert package["package"] == {"autotests": False, "autoexamples": False, "name": "a"}
    assert package["bin"] == [{"test": False, "name": "b"}]
    assert package["lib"] == {"test": False, "doctest": False}
    assert package["dependencies"] == {"c": "1"}


def test_changed_lines_are_those_that_a_commit_adds_or_modifies(repository):
    lines = list("abcdefgh")
    repository.commit(kept=lines, deleted=lines, shorter=lines)
    repository.commit(kept=["a", "B", "c", "d", "new", "newer", "e", "f", "g", "h"], deleted=None, shorter=lines[:3], added=["x", "y"])
    assert changed.changed_lines(repository.folder) == {"kept.rs": {2, 5, 6}, "shorter.rs": set(), "added.rs": {1, 2}}


def test_only_the_last_commit_and_what_is_uncommitted_count(repository):
    repository.commit(a=["1", "2"], b=["1", "2"])
    repository.commit(a=["one", "2"])
    repository.commit(b=["one", "2"])
    repository.write(b=["one", "two"])
    assert changed.changed_lines(repository.folder) == {"b.rs": {1, 2}}


def test_a_renamed_file_has_the_lines_that_differ(repository):
    lines = [f"line {number}" for number in range(20)]
    repository.commit(old=lines)
    repository.commit(old=None, new=[*lines[:-1], "another"])
    assert changed.changed_lines(repository.folder) == {"new.rs": {20}}


def test_without_a_commit_before_nothing_has_changed(repository):
    repository.commit(a=["1"])
    repository.write(a=["2"])
    assert changed.mutants_of_changed_lines(repository.folder) == []


def test_a_mutant_is_selected_if_its_lines_overlap_changed_lines(repository, monkeypatch):
    repository.commit(a=list("abcdef"), b=list("abcdef"))
    repository.commit(a=list("abXdef"))
    listed = [mutant(1, range(1, 3), "a.rs"), mutant(2, range(3, 4), "a.rs"), mutant(3, range(1, 7), "a.rs"), mutant(4, range(4, 5), "a.rs")]
    monkeypatch.setattr(mutants, "listed", lambda _, beginnings: listed if beginnings == ["a.rs"] else pytest.fail("other files"))
    assert [each.number for each in changed.mutants_of_changed_lines(repository.folder)] == [2, 3]


def test_a_step_runs_before_the_deadline_and_not_after_it():
    clock = iter([8.0, 9.9, 10.0, 11.0])
    step = trials.before(10, lambda each: each * 2, clock=lambda: next(clock))
    assert [step(each) for each in (1, 2, 3, 4)] == [2, 4, None, None]


def test_mutants_that_cannot_be_built_in_time_are_left_out(monkeypatch, tmp_path):
    def build(*_):
        raise subprocess.TimeoutExpired("cargo", 300)

    monkeypatch.setattr(trials.building, "build", build)
    assert trials.outcomes(tmp_path, [mutant(1, range(1, 2)), mutant(2, range(1, 2))]) == {1: trials.LEFT_OUT, 2: trials.LEFT_OUT}


def test_after_the_deadline_built_mutants_are_left_out(monkeypatch, tmp_path):
    monkeypatch.setattr(trials.building, "build", lambda *_: ([], {1}))
    found = [mutant(1, range(1, 2)), mutant(2, range(1, 2))]
    assert trials.outcomes(tmp_path, found, deadline=0) == {1: trials.LEFT_OUT, 2: trials.NOT_BUILT}
    assert trials.outcomes(tmp_path, found) == {1: trials.SURVIVED, 2: trials.NOT_BUILT}


def of_changed_lines(monkeypatch, outcomes: list[str], known: dict[str, str], report_only: bool = False) -> int:
    found = [mutant(number, range(1, 2)) for number, _ in enumerate(outcomes)]
    monkeypatch.setattr(changed, "mutants_of_changed_lines", lambda _: found)
    monkeypatch.setattr(table, "outcomes", lambda *_: dict(enumerate(outcomes)))
    return table.of_changed_lines(known, report_only)


def test_a_survivor_without_a_reason_fails_the_run(monkeypatch, capsys):
    outcomes = [trials.KILLED, trials.SURVIVED, trials.SURVIVED, trials.HUNG, trials.NOT_BUILT, trials.LEFT_OUT]
    assert of_changed_lines(monkeypatch, outcomes, {str(mutant(1, range(1, 2))): "both are the same"}) == 1
    printed = capsys.readouterr().out.splitlines()
    assert "mcp/src/lib.rs | 6 | 1 | 1 | 2 | 1 | 1" in printed
    assert "survives: mcp/src/lib.rs: parse: a < 2 → a > 2" in printed
    assert printed[-2:] == ["6 mutants: 2 killed, 2 survived, 1 not built, 1 left out", "3 passed, 1 failed"]


def test_a_run_that_reports_only_prints_survivors_and_passes(monkeypatch, capsys):
    assert of_changed_lines(monkeypatch, [trials.KILLED, trials.SURVIVED], {}, report_only=True) == 0
    printed = capsys.readouterr().out
    assert f"\nsurvives: {mutant(1, range(1, 2))}\n" in printed
    assert printed.endswith("1 survivors need a test in their own crate or a reason in survivors.yaml; this run only reports them\n1 passed, 0 failed\n")


def test_survivors_with_a_reason_and_mutants_left_out_do_not_fail_the_run(monkeypatch, capsys):
    assert of_changed_lines(monkeypatch, [trials.SURVIVED, trials.LEFT_OUT], {str(mutant(0, range(1, 2))): "both are the same"}) == 0
    assert capsys.readouterr().out.endswith("2 mutants: 0 killed, 1 survived, 0 not built, 1 left out\n1 passed, 0 failed\n")


@pytest.mark.parametrize("outcomes, says", [([], "0 mutants are on lines"), ([trials.LEFT_OUT], "1 mutants: 0 killed")])
def test_a_run_that_tries_no_mutant_passes(monkeypatch, capsys, outcomes, says):
    assert of_changed_lines(monkeypatch, outcomes, {}) == 0
    printed = capsys.readouterr().out
    assert says in printed
    assert printed.endswith("\n1 passed, 0 failed\n")
