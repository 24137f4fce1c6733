"""The gateway under test: `portcullis serve` on a folder of manifests, its events read back."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from weakref import WeakSet

import httpx2
from manifests import Folder
from processes import Process, free_port, wait_until, whole_lines

BINARY = os.environ.get("PORTCULLIS_BIN", "portcullis")
HOST = "127.0.0.1"


@dataclass(frozen=True)
class Cursor:
    """A moment: what a gateway writes later stands behind these positions of its events (bytes) and its log (characters)."""

    events: int
    log: int


class Gateway:
    """One process after another on the same ports and state: `kill` and `start` again as often as a test wants."""

    binary: str | Path = BINARY
    all: WeakSet[Gateway] = WeakSet()

    def __init__(self, folder: Path, manifests: Folder, port: int | None = None, public_port: int | None = None):
        self.folder = folder
        self.manifests = manifests
        self.port = port or free_port(HOST)
        self.admin_port = free_port(HOST)
        self.public_url = f"http://{HOST}:{public_port or self.port}"
        self.state = folder / "state"
        self.stdout = folder / "gateway.events"
        self.environment: dict[str, str] = {}  # more variables for the process
        self.process: Process | None = None
        self.arguments: list = []  # more of them for `serve`
        self.starts = 0
        self.test_began: Cursor | None = None  # when the current test began
        Gateway.all.add(self)

    def url(self, slug: str) -> str:
        return f"{self.public_url}/mcp/{slug}"

    def source(self) -> list:
        """Where it has its configuration from, as arguments."""
        return ["--manifests", self.manifests.path]

    def env(self) -> dict[str, str]:
        return {"RUST_LOG": os.environ.get("RUST_LOG", "info"), **self.environment}

    def launch(self) -> None:
        """Starts it without waiting."""
        self.starts += 1
        with self.stdout.open("ab") as events:
            self.process = Process(
                [
                    self.binary, "serve", *self.source(), "--state", self.state,
                    "--listen", f"{HOST}:{self.port}", "--admin-listen", f"{HOST}:{self.admin_port}", *self.arguments,
                ],
                log=self.folder / "gateway.log",
                stdout=events,
                env=self.env(),
            )  # fmt: skip

    def start(self, seconds: float = 20):
        self.launch()
        self.wait(seconds)
        return self

    def wait(self, seconds: float = 20) -> None:
        self.process.wait_ready(HOST, self.port, seconds)
        wait_until(self.ready, seconds=seconds, what="/readyz to answer 200")

    def ready(self) -> bool:
        try:
            return self.admin("/readyz").status_code == 200
        except httpx2.TransportError:
            return False

    def admin(self, path: str) -> httpx2.Response:
        return httpx2.get(f"http://{HOST}:{self.admin_port}{path}", trust_env=False)

    def kill(self) -> None:
        self.process.kill()

    def stop(self) -> None:
        if self.process:
            self.process.stop()

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()

    def log(self) -> str:
        return self.process.text()

    def cursor(self) -> Cursor:
        """The ends of the events and of the log. Taken before an action, it keeps a wait from finding what was there before."""
        return Cursor(self.stdout.read_bytes().rfind(b"\n") + 1 if self.stdout.exists() else 0, len(self.log()))

    def events(self, event: str | None = None, *, after: Cursor | None = None, **fields) -> list[dict]:
        """The events since then, or all so far, of this kind and with these fields."""
        found = []
        for line in whole_lines(self.stdout, after.events if after else 0):
            if not line.startswith("{"):
                continue
            each = json.loads(line)
            if event in (None, each["event"]) and all(each.get(key) == value for key, value in fields.items()):
                found.append(each)
        return found

    def wait_event(self, event: str, *, after: Cursor | None = None, seconds: float = 15, **fields) -> dict:
        """The event that an action caused. Events from before the current test do not count; where the test itself has caused others like
        it, pass the cursor from before the action."""
        after = after or self.test_began
        return wait_until(lambda: self.events(event, after=after, **fields), seconds=seconds, what=f"the event {event} {fields}")[-1]

    def wait_log(self, text: str, *, after: Cursor, seconds: float = 15) -> None:
        wait_until(lambda: text in self.log()[after.log :], seconds=seconds, what=f"the gateway to log {text!r}")

    def edited(self, change, *, seconds: float = 15, event: str = "admin.snapshot") -> dict:
        """Makes a change to the folder and waits until the gateway has taken or refused it; returns what it said."""
        before = len(self.events(event))
        change()
        return wait_until(lambda: self.events(event)[before:], seconds=seconds, what=f"the gateway to notice an edit ({event})")[-1]


def run(*arguments, seconds: float = 30) -> subprocess.CompletedProcess:
    """One run of the command line, its output as text."""
    return subprocess.run(
        [BINARY, *map(str, arguments)], capture_output=True, text=True, timeout=seconds, stdin=subprocess.DEVNULL, check=False
    )
