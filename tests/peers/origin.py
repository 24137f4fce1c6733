"""A Python `mcp` server of both eras: open, behind an API key in a header or in the query, or an OAuth resource server in front of
`authorization-server.mjs`.

python origin.py '{"host": "127.0.0.4", "port": 9002, "log": "…", "json": false, "issuer": "http://127.0.0.1:9001", "key": null,
  "query": null, "toolScopes": {"echo": ["write"]}}'
"""

import json
import ssl
import sys
from urllib.parse import parse_qs

import httpx2
import uvicorn
from catalog import fill
from mcp.server.auth.provider import AccessToken
from mcp.server.auth.settings import AuthSettings
from mcp.server.mcpserver import MCPServer
from recorder import Recorder
from starlette.responses import PlainTextResponse
from tool_scopes import ToolScopes


class Introspection:
    """Asks the authorization server about each token, so that a revoked one is refused at once (RFC 7662)."""

    def __init__(self, issuer: str, authority: str | None):
        self.endpoint = f"{issuer}/token/introspection"
        self.http = httpx2.AsyncClient(
            auth=("origin", "the-origin-introspects-with-this"), verify=ssl.create_default_context(cafile=authority) if authority else True
        )

    async def verify_token(self, token: str) -> AccessToken | None:
        answer = (await self.http.post(self.endpoint, data={"token": token})).json()
        if not answer.get("active"):
            return None
        return AccessToken(
            token=token,
            client_id=answer["client_id"],
            scopes=answer.get("scope", "").split(),
            expires_at=answer.get("exp"),
            resource=answer.get("aud"),
            subject=answer.get("sub"),
        )


class ApiKey:
    """Refuses a request without `X-Api-Key`."""

    def __init__(self, app, key: str):
        self.app = app
        self.key = key.encode()

    async def __call__(self, scope, receive, send):
        if scope["type"] == "http" and (b"x-api-key", self.key) not in scope["headers"]:
            return await PlainTextResponse("the API key is missing or wrong\n", 403)(scope, receive, send)
        return await self.app(scope, receive, send)


class QueryKey:
    """Refuses a request whose query has not exactly one parameter `api_key`, and that right."""

    def __init__(self, app, key: str):
        self.app = app
        self.key = key

    async def __call__(self, scope, receive, send):
        if scope["type"] == "http" and parse_qs(scope["query_string"].decode()).get("api_key") != [self.key]:
            return await PlainTextResponse("the API key is missing or wrong\n", 401)(scope, receive, send)
        return await self.app(scope, receive, send)


def main() -> None:
    given = json.loads(sys.argv[1])
    host, port = given["host"], given["port"]
    tls = given.get("tls") or {}
    scheme = "https" if tls else "http"
    oauth, verifier = {}, None
    if issuer := given.get("issuer"):
        verifier = Introspection(issuer, tls.get("authority"))
        oauth = {
            "token_verifier": verifier,
            "auth": AuthSettings(
                issuer_url=issuer,
                resource_server_url=f"{scheme}://{host}:{port}/mcp",
                required_scopes=["read"],
                validate_token_resource=True,
            ),
        }
    server = MCPServer(given.get("name", "origin"), version="1.2.3", instructions="Be kind to this origin.", log_level="WARNING", **oauth)
    fill(server)
    app = server.streamable_http_app(json_response=given.get("json", False), host=host)
    if scopes := given.get("toolScopes"):
        app = ToolScopes(app, verifier, scopes, f"{scheme}://{host}:{port}/.well-known/oauth-protected-resource/mcp")
    if key := given.get("key"):
        app = ApiKey(app, key)
    if key := given.get("query"):
        app = QueryKey(app, key)
    files = {"ssl_certfile": tls["certificate"], "ssl_keyfile": tls["key"]} if tls else {}
    uvicorn.run(Recorder(app, given["log"]), host=host, port=port, log_level="warning", timeout_graceful_shutdown=1, **files)


main()
