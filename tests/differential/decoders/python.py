"""The decoders of the Python SDK, as a program that answers batches of messages on its standard input.

Both paths of its HTTP transport are decoders of their own: the legacy era parses with pydantic, the modern one with `json`. Messages
whose headers matter come by HTTP and pass through Starlette.
"""

import json
import struct
import sys
import threading

import pydantic_core
import uvicorn
from mcp_types import methods
from mcp_types.jsonrpc import JSONRPCNotification, JSONRPCRequest, jsonrpc_message_adapter
from pydantic import AnyUrl, TypeAdapter, ValidationError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

NAMES = ["python", "python-modern"]
VERSION = "io.modelcontextprotocol/protocolVersion"
LEGACY = "2025-11-25"
MODERN = "2026-07-28"


def decode_legacy(body: bytes):
    """As mcp/server/streamable_http.py, then mcp/server/runner.py."""
    message = jsonrpc_message_adapter.validate_python(pydantic_core.from_json(body), by_name=False)
    if isinstance(message, JSONRPCNotification):
        return {"kind": "notification", "method": message.method}
    if not isinstance(message, JSONRPCRequest):
        return {"kind": "response", "method": ""}
    return request(message.method, LEGACY, message.params)


def decode_modern(body: bytes):
    """As mcp/server/_streamable_http_modern.py, then mcp/server/runner.py. A message without an id is acknowledged and dropped."""
    decoded = json.loads(body)
    if isinstance(decoded, dict) and "method" in decoded and "id" not in decoded:
        message = JSONRPCNotification.model_validate(decoded)
        return {"kind": "notification", "method": message.method}
    message = JSONRPCRequest.model_validate(decoded)
    return request(message.method, MODERN, message.params)


def request(method: str, version: str, params):
    if (method, version) not in methods.CLIENT_REQUESTS:
        return None if method in methods.SPEC_CLIENT_METHODS else {"kind": "request", "method": method}
    parsed = methods.parse_client_request(method, version, params).params
    meta = getattr(parsed, "meta", None) or {}
    reading = {"kind": "request", "method": method, "version": meta.get(VERSION)}
    if method == "initialize":
        reading["version"] = reading["version"] or parsed.protocol_version
    elif method in ("tools/call", "prompts/get"):
        reading["name"] = parsed.name
    elif method in ("resources/read", "resources/subscribe", "resources/unsubscribe"):
        reading["uri"] = str(parsed.uri)
        reading["resolved"] = resolve(reading["uri"])
    elif method == "completion/complete":
        reading["reference"] = [parsed.ref.type, parsed.ref.name if parsed.ref.type == "ref/prompt" else parsed.ref.uri]
    elif method.endswith("/list"):
        reading["cursor"] = parsed.cursor if parsed else None
    elif method in ("tasks/get", "tasks/result", "tasks/cancel"):
        reading["task"] = parsed.task_id
    elif method == "subscriptions/listen":
        reading["subscriptions"] = parsed.notifications.resource_subscriptions or []
    return reading


URL = TypeAdapter(AnyUrl)


def resolve(uri: str):
    """What SDK 1.x gives to the code that reads a resource; None if it rejects the URI."""
    try:
        return str(URL.validate_python(uri))
    except ValidationError:
        return None


def lines(body: bytes) -> str:
    return "".join(json.dumps(answer(decode, body)) + "\n" for decode in (decode_legacy, decode_modern))


def answer(decode, body: bytes):
    # What the transports catch around parsing (ValueError is the parent of their own errors), and KeyError of unknown methods.
    try:
        return decode(body)
    except (ValueError, ValidationError, RecursionError, KeyError):
        return None


async def receive(request: Request) -> Response:
    media = request.headers.get("content-type", "").split(";")[0].split(",")
    accepted = "application/json" in [part.strip() for part in media]
    body = await request.body()
    return Response(lines(body) if accepted else "null\n" * len(NAMES))


def serve() -> int:
    app = Starlette(routes=[Route("/mcp", receive, methods=["POST"])])
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="error", lifespan="off"))
    threading.Thread(target=server.run, daemon=True).start()
    while not server.started:
        pass
    return server.servers[0].sockets[0].getsockname()[1]


def exact(size: int) -> bytes:
    data = sys.stdin.buffer.read(size)
    if len(data) < size:
        sys.exit()
    return data


def main():
    print(json.dumps({"decoders": NAMES, "port": serve()}), flush=True)
    while True:
        (count,) = struct.unpack("<I", exact(4))
        bodies = []
        for _ in range(count):
            (size,) = struct.unpack("<I", exact(4))
            bodies.append(exact(size))
        sys.stdout.write("".join(map(lines, bodies)))
        sys.stdout.flush()


main()
