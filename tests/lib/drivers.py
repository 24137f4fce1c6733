"""Clients as tests see them: a process that connects, lists and calls as told, signing in with a user's browser."""

import json
import subprocess
import threading
from pathlib import Path
from queue import Empty, Queue

from browser import Browser
from processes import Process, free_port

TESTS = Path(__file__).resolve().parent.parent


class ClientError(Exception):
    """What the client's own library raised: its kind, message, JSON-RPC code and data."""

    def __init__(self, error: dict):
        super().__init__(f"{error['kind']}: {error['message']}")
        self.kind = error["kind"]
        self.code = error.get("code")
        self.data = error.get("data")


class Driver:
    """One client. Every command waits for its answer; what the library raises becomes a `ClientError`."""

    def __init__(self, name: str, url: str, browser: Browser, folder: Path, **options):
        self.name = name
        sort, kind = KINDS[name]
        argv = ["node", TESTS / "clients/driver.mjs"] if sort == "sdk" else ["python", TESTS / "clients/driver.py"]
        home = folder / f"{name}-home"
        home.mkdir(parents=True, exist_ok=True)
        self.process = Process(
            [*argv, json.dumps({sort: kind, "url": url, **options})],
            log=folder / f"{name}.log",
            env=environment(browser, home),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self.answers: Queue = Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self.process.popen.stdout:
            self.answers.put(line)
        self.answers.put(b"")

    def send(self, do: str, **arguments) -> None:
        self.process.popen.stdin.write(json.dumps({"do": do, **arguments}).encode() + b"\n")
        self.process.popen.stdin.flush()

    def answer(self, seconds: float = 30):
        try:
            line = self.answers.get(timeout=seconds)
        except Empty:
            raise TimeoutError(f"{self.name} did not answer within {seconds} s; it wrote:\n{self.process.text()[-3000:]}") from None
        if not line:
            raise RuntimeError(f"{self.name} ended; it wrote:\n{self.process.text()[-3000:]}")
        result = json.loads(line)
        if "error" in result:
            raise ClientError(result["error"])
        return result["ok"]

    def ask(self, do: str, *, seconds: float = 30, **arguments):
        self.send(do, **arguments)
        return self.answer(seconds)

    def connect(self):
        return self.ask("connect", seconds=60)

    def names(self, what: str = "tools") -> list[str]:
        key = {"tools": "name", "prompts": "name", "resources": "uri", "templates": "uriTemplate"}[what]
        return [each[key] for each in self.ask(what)]

    def call(self, tool: str, **arguments):
        return self.ask("call", name=tool, arguments=arguments)

    def text(self, tool: str, **arguments) -> str:
        """The text that a tool answers with; an error result is an assertion."""
        result = self.call(tool, **arguments)
        assert not result.get("isError"), f"{self.name}: {tool} failed: {result}"
        return "\n".join(part["text"] for part in result["content"] if part["type"] == "text")

    def stop(self):
        self.process.stop()


# name -> which driver, and what that driver calls it
KINDS = {
    "typescript-sdk": ("sdk", "sdk"),
    "typescript-client": ("sdk", "client"),
    "python-mcp": ("kind", "mcp"),
    "fastmcp": ("kind", "fastmcp"),
    "mcp-remote": ("kind", "mcp-remote"),
}


def environment(browser: Browser, home: Path) -> dict[str, str]:
    """A machine of the user's own: a home without anything in it, and the browser."""
    return {
        "HOME": str(home),
        "XDG_CONFIG_HOME": str(home / ".config"),
        "MCP_REMOTE_CONFIG_DIR": str(home / ".mcp-auth"),
        "BROWSER": str(TESTS / "lib/browse"),
        "PORTCULLIS_BROWSER": str(browser.profile),
        "MCP_AUTO_OPEN_ENABLED": "true",
        "FASTMCP_LOG_LEVEL": "WARNING",
    }


def inspect(url: str, browser: Browser, folder: Path, *arguments: str, seconds: float = 60) -> dict:
    """One run of the inspector's command line, its answer parsed."""
    home = folder / "inspector-home"
    home.mkdir(parents=True, exist_ok=True)
    process = Process(
        ["mcp-inspector", "--cli", "--format", "json", "--quiet", "--server-url", url, "--transport", "http",
         "--callback-url", f"http://127.0.0.1:{free_port()}/oauth/callback", *arguments],
        log=folder / "inspector.log",
        env=environment(browser, home),
        stdout=subprocess.PIPE,
    )
    try:
        out, _ = process.popen.communicate(timeout=seconds)
    finally:
        process.stop()
    if process.popen.returncode:
        raise RuntimeError(f"the inspector ended with {process.popen.returncode}:\n{out.decode()[-1500:]}\n{process.text()[-3000:]}")
    return json.loads(out[out.index(b"{") :])
