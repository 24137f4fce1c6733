"""Test programs of a Rust workspace: builds them, and runs tests of them by the names of their functions."""

import json
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

OUTCOME = re.compile(r"^test (\S+)(?: - should panic)? \.\.\. (ok|FAILED|ignored)", re.MULTILINE)


@dataclass(frozen=True)
class Program:
    """A test program, with the folder and the name (without `portcullis-`) of its crate."""

    path: str
    folder: Path
    crate: str

    def tests(self) -> list[str]:
        """Its tests, each with the modules that it is in: `client::redirect::tests::given_…`. Those that need another suite's set-up are
        marked as ignored, and left out."""
        ignored = set(self.listed("--ignored"))
        return [test for test in self.listed() if test not in ignored]

    def listed(self, *options: str) -> list[str]:
        listed = subprocess.run([self.path, "--list", "--format", "terse", *options], cwd=self.folder, capture_output=True, text=True, check=False)
        return [line.removesuffix(": test") for line in listed.stdout.splitlines() if line.endswith(": test")]

    def run(self, tests: list[str], *, env: dict[str, str] | None = None, timeout: float | None = None) -> tuple[dict[str, str], str]:
        """Runs these: `ok`, `FAILED` or `ignored` of each, and what was printed. Raises `TimeoutExpired`."""
        ran = subprocess.run(
            [self.path, "--exact", *tests],
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            env=env,
            timeout=timeout,
        )
        return dict(OUTCOME.findall(ran.stdout)), ran.stdout


def function(test: str) -> str:
    """What a test is called, without its modules."""
    return test.rpartition("::")[2]


def build(
    workspace: Path, *, env: dict[str, str] | None = None, errors: list[dict] | None = None, timeout: float | None = None
) -> tuple[list[Program], bool]:
    """Builds the tests of all crates: the programs, and whether all did. The compiler says why not, or its messages (rustc, "JSON
    Output") are added to `errors`. Raises `TimeoutExpired`."""
    form = "json-render-diagnostics" if errors is None else "json"
    command = ["cargo", "test", "--locked", "--workspace", "--no-run", "--no-fail-fast", f"--message-format={form}"]
    built = subprocess.run(command, cwd=workspace, stdout=subprocess.PIPE, text=True, check=False, env=env, timeout=timeout)
    programs = []
    for line in built.stdout.splitlines():
        artifact = json.loads(line)
        if artifact.get("reason") == "compiler-artifact" and artifact["executable"] and artifact["profile"]["test"]:
            folder = Path(artifact["manifest_path"]).parent
            programs.append(Program(artifact["executable"], folder, crate_of(artifact["package_id"])))
        elif artifact.get("reason") == "compiler-message" and errors is not None and artifact["message"]["level"] == "error":
            errors.append(artifact["message"])
    return programs, built.returncode == 0


def crate_of(package: str) -> str:
    """`identity`, of `path+file:///…/dataplane/authorization-server#portcullis-identity@0.1.0` or `…/identity#0.1.0`."""
    path, _, name = package.rpartition("#")
    name = name.partition("@")[0] if "@" in name else path.rpartition("/")[2]
    return short(name)


def short(package: str) -> str:
    """The name of a crate, without `portcullis-`."""
    return package.removeprefix("portcullis-")
