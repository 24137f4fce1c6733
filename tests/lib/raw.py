"""MCP by hand: single requests of either era with a token, and the answer whether it comes as JSON or as SSE."""

import json
from dataclasses import dataclass
from itertools import count

import httpx2

LEGACY = "2025-11-25"
MODERN = "2026-07-28"
_ids = count(1)


@dataclass
class Answer:
    status: int
    headers: httpx2.Headers
    message: dict | None
    text: str

    @property
    def result(self) -> dict:
        assert self.message and "result" in self.message, f"{self.status} {self.text}"
        return self.message["result"]

    @property
    def error(self) -> dict:
        assert self.message and "error" in self.message, f"{self.status} {self.text}"
        return self.message["error"]


class Caller:
    """One user at one route, in one era."""

    def __init__(self, url: str, token: str | None, era: str = MODERN, capabilities: dict | None = None):
        self.url, self.era = url, era
        self.capabilities = capabilities or {}
        self.http = httpx2.Client(timeout=20, trust_env=False)
        self.session: str | None = None
        self.token = token

    def initialize(self) -> Answer:
        answer = self.send(
            "initialize",
            protocolVersion=LEGACY,
            capabilities=self.capabilities,
            clientInfo={"name": "raw", "version": "1"},
        )
        self.session = answer.headers.get("mcp-session-id")
        self.post({"jsonrpc": "2.0", "method": "notifications/initialized"})
        return answer

    def send(self, method: str, **params) -> Answer:
        message = {"jsonrpc": "2.0", "id": next(_ids), "method": method, "params": params}
        headers = {}
        if self.era == MODERN:
            params["_meta"] = {
                "io.modelcontextprotocol/protocolVersion": MODERN,
                "io.modelcontextprotocol/clientCapabilities": self.capabilities,
                "io.modelcontextprotocol/clientInfo": {"name": "raw", "version": "1"},
            }
            headers["Mcp-Method"] = method
            if name := params.get("name") or (method == "resources/read" and params["uri"]):
                headers["Mcp-Name"] = name
        return self.post(message, headers)

    def post(self, message: dict, headers: dict | None = None) -> Answer:
        headers = {"Accept": "application/json, text/event-stream", **(headers or {})}
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        if self.session:
            headers["Mcp-Session-Id"] = self.session
        if self.session or self.era == MODERN:
            headers["MCP-Protocol-Version"] = self.era
        response = self.http.post(self.url, json=message, headers=headers)
        return Answer(response.status_code, response.headers, read(response, message.get("id")), response.text)

    def names(self, kind: str = "tools") -> list[str]:
        method, key = {
            "tools": ("tools/list", "name"),
            "prompts": ("prompts/list", "name"),
            "resources": ("resources/list", "uri"),
            "resourceTemplates": ("resources/templates/list", "uriTemplate"),
        }[kind]
        return [each[key] for each in self.send(method).result[kind]]

    def call(self, tool: str, **arguments) -> Answer:
        return self.send("tools/call", name=tool, arguments=arguments)


def read(response: httpx2.Response, wanted) -> dict | None:
    if "text/event-stream" not in response.headers.get("content-type", ""):
        return response.json() if response.content and "json" in response.headers.get("content-type", "") else None
    for line in response.text.splitlines():
        if line.startswith("data:") and line[5:].strip():
            message = json.loads(line[5:])
            if message.get("id") == wanted and ("result" in message or "error" in message):
                return message
    return None
