"""Rounds of the driver: every target in turn, so that whatever else the machine does hits all alike."""

import json
import statistics
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from build import LOAD
from raw import MODERN
from targets import Setting, Target

WARM_UP = 0.2


@dataclass(frozen=True)
class Cell:
    """A workload at a number of connections."""

    workload: str
    connections: int

    @property
    def name(self) -> str:
        return f"{self.workload}_{self.connections}"


CELLS = [Cell(workload, connections) for workload in ("call", "list") for connections in (32, 256)]


@dataclass
class Figures:
    """What the rounds of one target in one cell came to."""

    rounds: list[dict] = field(default_factory=list)

    @property
    def requests(self) -> int:
        return sum(each["requests"] for each in self.rounds)

    @property
    def errors(self) -> int:
        return sum(each["errors"] for each in self.rounds)

    @property
    def per_second(self) -> float:
        return self.requests / sum(each["seconds"] for each in self.rounds)

    @property
    def cpu_us(self) -> float | None:
        """Processor time of the target's own processes per request."""
        spent = [each["cpu_ms"] for each in self.rounds if "cpu_ms" in each]
        return sum(spent) * 1000 / self.requests if spent and self.requests else None

    def latency(self, name: str) -> float:
        if name == "max_us":
            return max(each[name] for each in self.rounds)
        return statistics.median(each[name] for each in self.rounds)


def measure(setting: Setting, cells: list[Cell], *, rounds: int, seconds: float, tell) -> dict[Cell, dict[str, Figures]]:
    names = names_files(setting)
    results = {cell: {target.name: Figures() for target in setting.targets} for cell in cells}
    for number in range(rounds):
        for cell in cells:
            turn = number % len(setting.targets)
            for target in setting.targets[turn:] + setting.targets[:turn]:
                results[cell][target.name].rounds.append(drive(target, cell, names[target.curated], seconds))
    for cell, by_target in results.items():
        for name, figures in by_target.items():
            wrong = next((each["first_error"] for each in figures.rounds if each["first_error"]), "")
            right = figures.errors == 0 and figures.requests > 0
            tell(f"{cell.name} {name}: {figures.requests} answers, every one right", right, wrong)
    return results


def names_files(setting: Setting) -> dict[bool, Path]:
    """The names that a list holds, by whether it is curated."""
    files = {}
    for curated, names in setting.names.items():
        files[curated] = setting.origin.folder / f"names-{curated}.json"
        files[curated].write_text(json.dumps(names))
    return files


def drive(target: Target, cell: Cell, names: Path, seconds: float) -> dict:
    method, headers, body, expected = {"call": call, "list": tools_list}[cell.workload](names)
    headers = [
        f"Authorization: Bearer {target.token}",
        "Content-Type: application/json",
        "Accept: application/json, text/event-stream",
        f"MCP-Protocol-Version: {MODERN}",
        f"Mcp-Method: {method}",
        *headers,
    ]
    argv = [LOAD, "drive", "--url", target.url, "--connections", cell.connections, "--seconds", seconds, "--warm-up", WARM_UP]
    argv += ["--body", body, *expected]
    argv += [part for header in headers for part in ("--header", header)]
    argv += [part for pid in target.processes for part in ("--cpu-of", pid)]
    done = subprocess.run([str(each) for each in argv], capture_output=True, text=True, timeout=120, check=False)
    try:
        return json.loads(done.stdout)
    except json.JSONDecodeError:
        raise RuntimeError(f"the driver did not report on {target.name} {cell.name}: {done.stderr[-2000:]}") from None


def message(method: str, **params) -> str:
    meta = {
        "io.modelcontextprotocol/protocolVersion": MODERN,
        "io.modelcontextprotocol/clientCapabilities": {},
        "io.modelcontextprotocol/clientInfo": {"name": "portcullis-load", "version": "1"},
    }
    text = json.dumps({"jsonrpc": "2.0", "id": "{id}", "method": method, "params": {"_meta": meta, **params}}, separators=(",", ":"))
    return text.replace('"id":"{id}","method"', '"id":{id},"method"')


def call(_names: Path):
    body = message("tools/call", name="get_issue", arguments={"id": "PORT-{id}"})
    return "tools/call", ["Mcp-Name: get_issue"], body, ["--expect-text", "get_issue: PORT-{id}"]


def tools_list(names: Path):
    return "tools/list", [], message("tools/list"), ["--expect-names", names]
