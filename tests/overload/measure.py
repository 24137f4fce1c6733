"""Strangers against one gateway with 512 MiB: connections with held bodies, registrations and refused requests, all at once, while users
call a tool. Fails if the gateway needs more memory, if a call of a user fails, or if an event of a call is lost. Latencies are printed.
Before that, the memory of an idle process with ten routes, and of an idle connection. A run that passed is written to RESULTS.md."""

import argparse
import json
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import contextmanager, suppress
from pathlib import Path

import manifests as m
from gateway import HOST
from raw import Caller
from sockets import Wire
from world import World

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "RESULTS.md"
LIMIT = 512 << 20
USERS = ("ana", "bob")


lines: list[str] = []


def show(line: str) -> None:
    print(line, flush=True)
    lines.append(line)


def status(world: World, key: str) -> int:
    """A number of bytes in the status of the gateway's process."""
    text = Path(f"/proc/{world.gateway.process.popen.pid}/status").read_text()
    return int(re.search(rf"{key}:\s+(\d+) kB", text)[1]) * 1024


def metric(world: World, name: str) -> int:
    return int(re.search(rf"^portcullis_{name} (\d+)$", world.gateway.admin("/metrics").text, re.MULTILINE)[1])


@contextmanager
def limited(world: World):
    """Puts the gateway's process into a control group with the limit, where that is possible. Memory is measured in any case."""
    group = Path(f"/sys/fs/cgroup/portcullis-overload-{world.gateway.process.popen.pid}")
    try:
        group.mkdir()
        (group / "memory.max").write_text(str(LIMIT))
        with suppress(OSError):
            (group / "memory.swap.max").write_text("0")
        (group / "cgroup.procs").write_text(str(world.gateway.process.popen.pid))
        show(f"the process is in a control group with {LIMIT >> 20} MiB")
    except OSError as error:
        show(f"no control group ({error.strerror}); the peak of its memory is compared with {LIMIT >> 20} MiB")
    yield
    world.gateway.stop()
    with suppress(OSError):
        group.rmdir()


class Calls:
    """Users who call a tool, one call after the other in each thread."""

    def __init__(self, callers: list[Caller]):
        self.ending = False
        self.seconds: list[float] = []
        self.failures: list[str] = []
        self.threads = [threading.Thread(target=self._call, args=(caller,)) for caller in callers]
        for each in self.threads:
            each.start()

    def _call(self, caller: Caller) -> None:
        while not self.ending:
            started = time.monotonic()
            try:
                answer = caller.call("echo", text="x")
                if answer.status != 200 or "result" not in answer.message:
                    self.failures.append(f"{answer.status} {answer.text[:200]}")
            except Exception as error:
                self.failures.append(repr(error))
            self.seconds.append(time.monotonic() - started)
            time.sleep(0.02)

    def end(self) -> None:
        self.ending = True
        for each in self.threads:
            each.join()

    def row(self, what: str) -> str:
        ordered = sorted(self.seconds)
        p50, p99 = (1000 * ordered[min(len(ordered) - 1, int(len(ordered) * share))] for share in (0.5, 0.99))
        return f"{what:<22} {len(ordered):>7} calls  p50 {p50:>7.1f} ms  p99 {p99:>8.1f} ms  most {1000 * ordered[-1]:>8.1f} ms  {len(self.failures)} failed"


def idle(world: World) -> None:
    """Prints the memory of the idle process, and of each of a thousand idle connections."""
    time.sleep(3)
    before = status(world, "VmRSS")
    wires = [Wire(HOST, world.gateway.port, machine=f"127.93.0.{1 + number % 250}") for number in range(1000)]
    for each in wires:
        each.send(f"GET /oauth/jwks HTTP/1.1\r\nHost: {HOST}:{world.gateway.port}\r\n\r\n")
    for each in wires:
        each.reply()
    after = status(world, "VmRSS")
    for each in wires:
        each.close()
    show(f"idle with 10 routes: {before / 1e6:.1f} MB; per idle connection {(after - before) / 1000 / 1024:.1f} KiB")


def strangers(world: World, arguments) -> dict[str, dict]:
    """Runs all kinds at once; returns what each reports."""
    kinds = {"held": arguments.connections, "registered": arguments.registrations, "refused": arguments.refused}
    running = {
        kind: subprocess.Popen(
            [sys.executable, HERE / "strangers.py", kind, str(world.gateway.port), str(number), str(arguments.seconds)], stdout=subprocess.PIPE, text=True
        )
        for kind, number in kinds.items()
    }
    return {kind: json.loads(process.communicate()[0].splitlines()[-1]) for kind, process in running.items()}


def measure(world: World, arguments) -> list[str]:
    """Returns what is wrong."""
    idle(world)
    tokens = {name: world.oauth("open").sign_in(world.browser(name)).access_token for name in USERS}
    callers = [Caller(world.url("open"), tokens[name]) for name in USERS for _ in range(2)]
    with limited(world):
        quiet = Calls(callers)
        time.sleep(5)
        quiet.end()
        show(quiet.row("without strangers"))
        loud = Calls(callers)
        started = time.monotonic()
        done = strangers(world, arguments)
        seconds = time.monotonic() - started
        loud.end()
        show(loud.row("with strangers"))
        for kind, numbers in done.items():
            show(f"{kind:<22} {numbers}")
        peak, calls = status(world, "VmHWM"), len(quiet.seconds) + len(loud.seconds)
        counts = {name: metric(world, name) for name in ("events_dropped_total", "anonymous_events_dropped_total", "anonymous_failures_counted_total", "connections_refused_total", "requests_refused_total")}  # fmt: skip
        time.sleep(2)
        events = len(world.gateway.events("mcp.capability", capability="echo"))
    show(f"{seconds:.0f} s; peak of memory {peak / (1 << 20):.0f} MiB; {events} events of {calls} calls; {counts}")
    problems = quiet.failures + loud.failures
    if peak > LIMIT:
        problems.append(f"the peak of memory is {peak >> 20} MiB")
    if events != calls:
        problems.append(f"{calls - events} events of users' calls are lost")
    if counts["events_dropped_total"] != counts["anonymous_events_dropped_total"]:
        problems.append("events that are not anonymous were dropped")
    for kind, asked in (("registered", arguments.registrations), ("refused", arguments.refused)):
        if sum(number for key, number in done[kind].items() if key != "sent") < asked:
            problems.append(f"{kind}: {done[kind]}")
    return problems


def main() -> int:
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--connections", type=int, default=10_000)
    arguments.add_argument("--registrations", type=int, default=10_000)
    arguments.add_argument("--refused", type=int, default=200_000)
    arguments.add_argument("--seconds", type=float, default=60, help="how long connections are held")
    given = arguments.parse_args()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    folder = Path(tempfile.mkdtemp(prefix="portcullis-overload-"))
    with World(folder, "open") as world:
        world.manifests.put(*(m.virtual(f"more-{number}", "open") for number in range(9)))
        time.sleep(2)
        world.gateway.stop()
        world.gateway.start()
        problems = measure(world, given)
    for problem in problems[:20]:
        print(f"FAILED: {problem}")
    if problems:
        print(f"logs are kept in {folder}")
    else:
        shutil.rmtree(folder, ignore_errors=True)
        RESULTS.write_text("# The last run of `./tests/run overload`\n\n```\n" + "\n".join(lines) + "\n```\n")
    print(f"{int(not problems)} passed, {int(bool(problems))} failed")
    return bool(problems)


if __name__ == "__main__":
    sys.exit(main())
