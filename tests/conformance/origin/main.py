"""The server that the conformance suite is run against, straight and through the gateway: a Python `mcp` server of both eras that offers
what the suite's scenarios ask for by name.

Straight, it passes every scored check of both revisions, and the optional ones of the tasks extension that the suite can decide:
`tasks-status-notifications` is skipped by the suite itself ("pending subscriptions/listen rewrite"), so no server can pass it.

python main.py '{"host": "127.0.0.1", "port": 9003, "authority": "another host:port that it answers to", "issuer": "http://…"}'

With `issuer` it requires an access token, and names the authorization server that issues them. Any token is valid.
"""

import json
import sys
import warnings

import content
import questions
import rounds
import streams
import uvicorn
from mcp.server.caching import CacheHint
from mcp.server.mcpserver import MCPServer
from mcp.server.transport_security import TransportSecuritySettings
from mcp.shared.exceptions import MCPDeprecationWarning
from mcp_types.methods import CACHEABLE_METHODS
from starlette.responses import JSONResponse, Response
from tasks import Tasks

METADATA = "/.well-known/oauth-protected-resource/mcp"

# Both eras are served, so what the newer deprecates is wanted.
warnings.filterwarnings("ignore", category=MCPDeprecationWarning)


def build() -> MCPServer:
    server = MCPServer(
        "conformance-origin",
        version="1.0.0",
        instructions="Offers what the conformance suite asks for.",
        log_level="ERROR",
        tools=[content.schema_tool()],
        extensions=[Tasks()],
        cache_hints={method: CacheHint(ttl_ms=60_000, scope="public") for method in CACHEABLE_METHODS},
    )
    for part in (content, streams, questions, rounds):
        part.fill(server)
    return server


class Guarded:
    """Requires an access token for the server (RFC 9728)."""

    def __init__(self, app, base: str, issuer: str):
        self.app = app
        self.metadata = {"resource": f"{base}/mcp", "authorization_servers": [issuer], "scopes_supported": ["read"]}
        self.challenge = f'Bearer resource_metadata="{base}{METADATA}"'

    async def __call__(self, scope, receive, send):
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        if scope["path"] == METADATA:
            return await JSONResponse(self.metadata)(scope, receive, send)
        if not any(name == b"authorization" for name, _ in scope["headers"]):
            return await Response(status_code=401, headers={"WWW-Authenticate": self.challenge})(scope, receive, send)
        return await self.app(scope, receive, send)


def main() -> None:
    given = json.loads(sys.argv[1])
    host, port = given["host"], given["port"]
    authorities = [f"{host}:{port}", *([given["authority"]] if "authority" in given else [])]
    app = build().streamable_http_app(
        host=host,
        event_store=streams.Memory(),
        retry_interval=200,
        transport_security=TransportSecuritySettings(
            enable_dns_rebinding_protection=True,
            allowed_hosts=authorities,
            allowed_origins=[f"http://{authority}" for authority in authorities],
        ),
    )
    if "issuer" in given:
        app = Guarded(app, f"http://{host}:{port}", given["issuer"])
    uvicorn.run(app, host=host, port=port, log_level="warning", timeout_graceful_shutdown=1)


main()
