"""An origin whose tools want more than its other requests do: a call without the scopes is a 403 `insufficient_scope` (RFC 6750 section 3.1)."""

import json

from starlette.requests import Request
from starlette.responses import JSONResponse


class ToolScopes:
    """`scopes` are those that a tool wants, by its name. `verifier` tells what a token may do."""

    def __init__(self, app, verifier, scopes: dict[str, list[str]], metadata: str):
        self.app, self.verifier, self.scopes, self.metadata = app, verifier, scopes, metadata

    async def __call__(self, scope, receive, send):
        if scope["type"] != "http" or scope["method"] != "POST":
            return await self.app(scope, receive, send)
        request = Request(scope, receive)
        body = await request.body()
        wanted = self._wanted(body)
        token = await self.verifier.verify_token(request.headers.get("authorization", "").removeprefix("Bearer ")) if wanted else None
        if token and not set(wanted) <= set(token.scopes):
            challenge = f'Bearer error="insufficient_scope", scope="{" ".join(wanted)}", resource_metadata="{self.metadata}"'
            refusal = JSONResponse({"error": "insufficient_scope"}, 403, {"WWW-Authenticate": challenge})
            return await refusal(scope, receive, send)
        read = False

        async def again():
            nonlocal read
            if read:
                return await receive()
            read = True
            return {"type": "http.request", "body": body, "more_body": False}

        return await self.app(scope, again, send)

    def _wanted(self, body: bytes) -> list[str]:
        message = json.loads(body) if body.startswith(b"{") else {}
        return self.scopes.get(message["params"]["name"], []) if message.get("method") == "tools/call" else []
