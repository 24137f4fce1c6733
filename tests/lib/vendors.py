"""Clients as their vendors ship them, each used by its own command line, with a user's browser beside it.

They have a home and an environment of their own, and no way to their vendors. Where one uses a tool only when a model wants it to, the
model is a script (peers/model.py).
"""

import json
import os
import subprocess
from pathlib import Path
from shutil import rmtree

from app_server import AppServer
from browser import Browser
from drivers import TESTS, environment
from peers import PEERS, Peer
from processes import Process
from terminal import at_terminal

PROGRAMS = TESTS / "clients/vendors/node_modules/.bin"
NAME = "gateway"  # what the user calls the server
NOWHERE = "http://127.0.0.1:9"


class Model(Peer):
    """Says what it is told to say, and calls what it is told to call."""

    def __init__(self, folder: Path):
        super().__init__(folder, "model")

    def argv(self):
        return ["python", PEERS / "model.py", json.dumps({"host": self.host, "port": self.port})]


class Vendor:
    """One client on a machine of one user's."""

    program = ""

    def __init__(self, url: str, browser: Browser, folder: Path, model: Model):
        self.url, self.browser, self.folder, self.model = url, browser, folder, model
        self.home = folder / "home"
        self.work = folder / "work"
        for each in (self.home, self.work, folder / "bin"):
            each.mkdir(parents=True)
        (folder / "bin/xdg-open").symlink_to(TESTS / "lib/browse")

    def variables(self) -> dict[str, str]:
        return {}

    def command(self) -> list:
        return [PROGRAMS / self.program]

    def argv(self, *arguments: str) -> list:
        """In an environment that has nothing of the machine's own but the search path, and the mark by which a suite ends what is left of it."""
        path = f"{self.folder / 'bin'}:{os.environ['PATH']}"
        nobody = {name: NOWHERE for name in ("HTTP_PROXY", "HTTPS_PROXY")} | {"NO_PROXY": "127.0.0.1,localhost"}
        mark = {name: os.environ[name] for name in ("PORTCULLIS_TEST_RUN",) if name in os.environ}
        variables = {"PATH": path, "TERM": "xterm-256color", "LANG": "C.UTF-8", **mark, **nobody, **environment(self.browser, self.home), **self.variables()}
        return ["env", "-i", *(f"{name}={value}" for name, value in variables.items()), *self.command(), *arguments]

    def run(self, *arguments: str, seconds: float = 60) -> str:
        """One run of its command line, which has to go well; returns what it wrote to its standard output."""
        process = Process(self.argv(*arguments), log=self.folder / "errors.log", cwd=self.work, stdout=subprocess.PIPE)
        try:
            said = process.popen.communicate(timeout=seconds)[0].decode()
        finally:
            process.stop()
        if process.popen.returncode:
            raise RuntimeError(f"{self.program} {arguments} ended with {process.popen.returncode}:\n{said[-3000:]}{process.text()[-3000:]}")
        return said

    def sign_in(self) -> None:
        raise NotImplementedError

    def tools(self) -> list[str]:
        """The names of the server's tools, as the server gives them."""
        raise NotImplementedError

    def call(self, tool: str, **arguments) -> str:
        """What the client has from a call, as text."""
        raise NotImplementedError

    def stop(self) -> None:
        pass


class Codex(Vendor):
    """Its tools are listed and called through `codex app-server`, as its editor extensions do."""

    program = "codex"
    server: AppServer | None = None

    def sign_in(self) -> None:
        # It sees that the server wants it, and signs in at once.
        self.run("mcp", "add", NAME, "--url", self.url)
        self.server = AppServer(self.argv("app-server"), log=self.folder / "app-server.log", cwd=self.work)

    def tools(self) -> list[str]:
        found = self.server.ask("mcpServerStatus/list")["data"]
        return list(next(each for each in found if each["name"] == NAME)["tools"])

    def call(self, tool: str, **arguments) -> str:
        return json.dumps(self.server.ask("mcpServer/tool/call", threadId=self.server.thread, server=NAME, tool=tool, arguments=arguments))

    def stop(self) -> None:
        if self.server:
            self.server.stop()


class ClaudeCode(Vendor):
    program = "claude"

    def variables(self):
        return {
            "ANTHROPIC_BASE_URL": self.model.base,
            "ANTHROPIC_API_KEY": "none",
            "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
            "ENABLE_TOOL_SEARCH": "false",
        }

    def sign_in(self) -> None:
        self.run("mcp", "add", "--transport", "http", NAME, self.url)
        at_terminal(self.argv("mcp", "login", NAME), cwd=self.work)

    def ask(self, **order) -> str:
        return self.run("-p", json.dumps(order), "--allowedTools", f"mcp__{NAME}", "--output-format", "text")

    def tools(self) -> list[str]:
        prefix = f"mcp__{NAME}__"
        return [name.removeprefix(prefix) for name in json.loads(self.ask(list=True)) if name.startswith(prefix)]

    def call(self, tool: str, **arguments) -> str:
        return self.ask(call=f"mcp__{NAME}__{tool}", arguments=arguments)


class GeminiCli(Vendor):
    """It signs in when a server with `oauth` asks for it, after its user has said yes at the terminal."""

    program = "gemini"

    def variables(self):
        return {"GOOGLE_GEMINI_BASE_URL": self.model.base, "GEMINI_API_KEY": "none", "GEMINI_CLI_TRUST_WORKSPACE": "true"}

    def sign_in(self) -> None:
        settings = {
            "mcpServers": {NAME: {"httpUrl": self.url, "oauth": {"enabled": True}}},
            "security": {"auth": {"selectedType": "gemini-api-key"}},
            "privacy": {"usageStatisticsEnabled": False},
            "general": {"enableAutoUpdate": False},
        }
        (self.home / ".gemini").mkdir()
        (self.home / ".gemini/settings.json").write_text(json.dumps(settings))
        self.ask(list=True)

    def ask(self, **order) -> str:
        """At a terminal, because there it asks whether to open the browser."""
        return at_terminal(self.argv("-p", json.dumps(order), "-m", "gemini-2.5-flash", "--approval-mode", "yolo"), cwd=self.work, typed="y\n")

    def tools(self) -> list[str]:
        names = next(line for line in self.ask(list=True).splitlines() if line.startswith('["'))
        prefix = f"mcp_{NAME}_"
        return [name.removeprefix(prefix) for name in json.loads(names) if name.startswith(prefix)]

    def call(self, tool: str, **arguments) -> str:
        said = self.ask(call=f"mcp_{NAME}_{tool}", arguments=arguments)
        return json.loads(next(line for line in said.splitlines() if line.startswith('{"output"')))["output"]


class Copilot(Vendor):
    """Without its vendor, with a model of one's own. It signs in where somebody sits at it."""

    program = "copilot"

    def variables(self):
        model = {"BASE_URL": self.model.base, "TYPE": "anthropic", "API_KEY": "none"}
        offline = {"COPILOT_OFFLINE": "true", "COPILOT_MODEL": "claude-sonnet-4.5"}
        return offline | {f"COPILOT_PROVIDER_{name}": value for name, value in model.items()}

    def sign_in(self) -> None:
        self.run("mcp", "add", "--transport", "http", NAME, self.url)
        # The first thing that it wants to know is whether it may work in this folder.
        argv = self.argv("-i", f"/mcp auth {NAME}", "--allow-all-tools")
        at_terminal(argv, cwd=self.work, typed="\r", until=lambda: any(self.remembered().glob("*.json")))

    def remembered(self) -> Path:
        return self.home / ".cache/copilot/mcp-tools"

    def tools(self) -> list[str]:
        return [tool["name"] for tool in json.loads(next(self.remembered().glob("*.json")).read_text())["tools"]]

    def call(self, tool: str, **arguments) -> str:
        # With tools that it remembers it takes a call before it has shown its token again, and gives it up.
        rmtree(self.remembered())
        order = {"call": f"{NAME}-{tool}", "arguments": arguments}
        return self.run("-p", json.dumps(order), "--allow-all-tools", "--silent")


class AiSdk(Vendor):
    """A library: the program around it is ours."""

    program = "ai-sdk"

    def command(self) -> list:
        return ["node", TESTS / "clients/vendors/ai-sdk.mjs", self.url]

    def sign_in(self) -> None:
        self.run("sign-in")

    def tools(self) -> list[str]:
        return json.loads(self.run("list"))

    def call(self, tool: str, **arguments) -> str:
        return self.run("call", tool, json.dumps(arguments))


class RustSdk(Vendor):
    """A library too. The program remembers nothing, and signs in anew each time."""

    program = "rmcp-client"

    def command(self) -> list:
        return [self.program, self.url]

    def sign_in(self) -> None:
        self.run("list")

    def tools(self) -> list[str]:
        return json.loads(self.run("list"))

    def call(self, tool: str, **arguments) -> str:
        return self.run("call", tool, json.dumps(arguments))


VENDORS = {"ai-sdk": AiSdk, "rust-sdk": RustSdk, "codex": Codex, "claude-code": ClaudeCode, "copilot": Copilot, "gemini-cli": GeminiCli}
