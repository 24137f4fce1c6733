"""A server that a test programs, byte by byte: an origin, its authorization server, or both, that mean no good.

By itself it is a well-behaved protected origin. A test replaces what is to go wrong:

    impostor.on["/token"] = lambda request: reply({"error": "invalid_grant"}, 400)
    impostor.on["/mcp"] = lambda request: endless(b"data: x")
"""

import contextlib
import json
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from http import HTTPStatus
from urllib.parse import parse_qs, urlencode, urlsplit

from peers import ORIGIN_HOST
from processes import free_port


@dataclass
class Asked:
    """A request."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes
    at: float = field(default_factory=time.monotonic)

    @property
    def path(self) -> str:
        return urlsplit(self.target).path

    @property
    def query(self) -> dict[str, str]:
        return {key: values[0] for key, values in parse_qs(urlsplit(self.target).query).items()}

    @property
    def form(self) -> dict[str, str]:
        return {key: values[0] for key, values in parse_qs(self.body.decode("latin-1")).items()}

    @property
    def message(self) -> dict:
        return json.loads(self.body)

    @property
    def bearer(self) -> str | None:
        scheme, _, token = self.headers.get("authorization", "").partition(" ")
        return token if scheme == "Bearer" else None


def raw(status: int = 200, body: bytes = b"", *headers: tuple[str, str], length: bool = True) -> bytes:
    lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}", *(f"{name}: {value}" for name, value in headers)]
    if length:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


def reply(document, status: int = 200, *headers: tuple[str, str]) -> bytes:
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    return raw(status, body, ("Content-Type", "application/json"), *headers)


def redirect(location: str) -> bytes:
    return raw(302, b"", ("Location", location))


def endless(start: bytes, again: bytes = b" " * 65_536, pause: float = 0, media: str = "application/json") -> Iterable[bytes]:
    """A body without an end."""
    yield raw(200, b"", ("Content-Type", media), length=False) + start
    while True:
        yield again
        if pause:
            time.sleep(pause)


def result(request: Asked, content) -> bytes:
    return reply({"jsonrpc": "2.0", "id": request.message.get("id"), "result": content})


class Impostor:
    """Serves until it is closed. `asked` are the requests so far, `reached` counts connections; of answers in pieces, `sent` counts the bytes and `ended` those
    that are over, also because nobody listens any more."""

    def __init__(self, host: str = ORIGIN_HOST, port: int | None = None):
        self.host, self.port = host, port or free_port(host)
        self.base = f"http://{self.host}:{self.port}"
        self.url = f"{self.base}/mcp"
        self.issuer = self.base
        self.asked: list[Asked] = []
        self.reached = 0
        self.sent = 0
        self.ended = 0
        self.closed = False
        self.alive: set[socket.socket] = set()
        self.tokens: list[str] = []
        self.tools = [{"name": "whoami", "description": "Says who asks.", "inputSchema": {"type": "object"}}]
        self.on: dict[str, Callable[[Asked], bytes | Iterable[bytes]]] = {}
        self.open = False  # whether it wants no token
        self.listener = socket.create_server((self.host, self.port), backlog=64)
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """From now on nobody answers here."""
        self.closed = True
        for each in (self.listener, *self.alive):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        self.listener.close()

    # What it is asked

    def requests(self, path: str) -> list[Asked]:
        return [each for each in self.asked if each.path == path]

    def calls(self) -> list[Asked]:
        return [each for each in self.requests("/mcp") if b'"tools/call"' in each.body]

    def messages(self, method: str) -> list[dict]:
        """The messages with this method."""
        posted = [each.message for each in self.requests("/mcp") if each.method == "POST"]
        return [each for each in posted if each.get("method") == method]

    def received(self) -> str:
        """Every byte of every request, as text."""
        return "\n".join(f"{each.method} {each.target} {each.headers} {each.body.decode('latin-1')}" for each in self.asked)

    # What it says of itself

    @property
    def resource_metadata(self) -> dict:
        return {"resource": self.url, "authorization_servers": [self.issuer], "scopes_supported": ["read"]}

    @property
    def server_metadata(self) -> dict:
        return {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.base}/authorize",
            "token_endpoint": f"{self.base}/token",
            "registration_endpoint": f"{self.base}/register",
            "response_types_supported": ["code"],
            "code_challenge_methods_supported": ["S256"],
            "token_endpoint_auth_methods_supported": ["none"],
            "authorization_response_iss_parameter_supported": True,
        }

    def answer(self, request: Asked) -> bytes | Iterable[bytes]:
        if path := self.on.get(request.path):
            return path(request)
        match request.path:
            case "/mcp":
                return self.mcp(request)
            case "/.well-known/oauth-protected-resource/mcp":
                return reply(self.resource_metadata)
            case "/.well-known/oauth-authorization-server":
                return reply(self.server_metadata)
            case "/register":
                return reply({"client_id": f"client-{secrets.token_hex(4)}", "token_endpoint_auth_method": "none"}, 201)
            case "/authorize":
                return redirect(self.callback(request))
            case "/token":
                return reply(self.issue())
            case _:
                return raw(404)

    def answer_method(self, method: str, answer: Callable[[Asked], bytes | Iterable[bytes]]) -> None:
        """This answers messages with the method; all others are answered as usual."""
        self.on["/mcp"] = lambda asked: (answer if asked.method == "POST" and asked.message.get("method") == method else self.mcp)(asked)

    def callback(self, request: Asked, **changes: str | None) -> str:
        """Where a browser goes that has consented, at once."""
        given = {"code": secrets.token_hex(8), "state": request.query["state"], "iss": self.issuer, **changes}
        return f"{request.query['redirect_uri']}?{urlencode({key: value for key, value in given.items() if value is not None})}"

    def issue(self, **changes) -> dict:
        access, refresh = f"access-{secrets.token_hex(12)}", f"refresh-{secrets.token_hex(12)}"
        self.tokens += [access, refresh]
        return {"access_token": access, "token_type": "Bearer", "expires_in": 3600, "refresh_token": refresh, **changes}

    def mcp(self, request: Asked) -> bytes | Iterable[bytes]:
        if not self.open and request.bearer not in self.tokens:
            return self.challenge()
        if request.method != "POST":
            return raw(405, b"", ("Allow", "POST"))
        message = request.message
        match message["method"]:
            case "initialize":
                version = message["params"]["protocolVersion"]
                said = {"protocolVersion": version, "capabilities": {"tools": {}}, "serverInfo": {"name": "impostor", "version": "1"}}
                return reply({"jsonrpc": "2.0", "id": message["id"], "result": said}, 200, ("Mcp-Session-Id", f"s-{secrets.token_hex(4)}"))
            case "tools/list":
                return result(request, {"resultType": "complete", "tools": self.tools, "ttlMs": 0, "cacheScope": "public"})
            case "tools/call":
                return result(request, {"resultType": "complete", "content": [{"type": "text", "text": str(request.bearer)}]})
            case _ if "id" in message:
                return result(request, {})
            case _:
                return raw(202)

    def challenge(self) -> bytes:
        where = f"{self.base}/.well-known/oauth-protected-resource/mcp"
        return raw(401, b"", ("WWW-Authenticate", f'Bearer resource_metadata="{where}"'))

    # How it serves

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.reached += 1
            self.alive.add(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, connection.makefile("rb") as stream:
            answer = b""
            try:
                if self.closed:
                    return
                while request := read(stream):
                    self.asked.append(request)
                    answer = self.answer(request)
                    if isinstance(answer, bytes):
                        connection.sendall(answer)
                        if b"connection: close" in answer.partition(b"\r\n\r\n")[0].lower():
                            return
                        continue
                    for piece in answer:
                        connection.sendall(piece)
                        self.sent += len(piece)
                    return
            except OSError:
                return
            finally:
                self.alive.discard(connection)
                self.ended += not isinstance(answer, bytes)


def read(stream) -> Asked | None:
    first = stream.readline().decode("latin-1").split()
    if len(first) != 3:
        return None
    headers = {}
    while line := stream.readline().decode("latin-1").strip():
        name, _, value = line.partition(":")
        headers[name.strip().lower()] = value.strip()
    return Asked(first[0], first[1], headers, stream.read(int(headers.get("content-length", 0))))
