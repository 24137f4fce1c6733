"""A Python client that does as told: one JSON command a line on stdin, one JSON answer a line on stdout.

python driver.py '{"kind": "mcp" | "fastmcp" | "mcp-remote", "url": "…", "mode": "auto" | "legacy", "elicitation": true}'
"""

import asyncio
import json
import os
import subprocess
import sys
from contextlib import AsyncExitStack
from urllib.parse import parse_qs, urlsplit

import httpx2
import mcp_types
from mcp import Client, StdioServerParameters
from mcp.client.auth import OAuthClientProvider
from mcp.client.auth.extensions.client_credentials import (
    ClientCredentialsOAuthProvider,
    PrivateKeyJWTOAuthProvider,
    SignedJWTParameters,
)
from mcp.client.auth.extensions.identity_assertion import IdentityAssertionOAuthProvider
from mcp.client.streamable_http import streamable_http_client
from mcp.shared._httpx_utils import create_mcp_http_client
from mcp.shared.auth import AuthorizationCodeResult, OAuthClientMetadata

given = json.loads(sys.argv[1])
notifications: list[str] = []
elicitations: list[dict] = []


def browse(url: str) -> None:
    subprocess.Popen([os.environ["BROWSER"], url], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)


async def on_message(message) -> None:
    if method := getattr(message, "method", None):
        notifications.append(method)


async def on_elicitation(_context, params):
    elicitations.append(params.model_dump(mode="json", by_alias=True))
    if url := getattr(params, "url", None):
        # As a person would: open it, do what the page asks, come back and say so.
        environment = os.environ | {"PORTCULLIS_BROWSER_WAITS": "1"}
        await (await asyncio.create_subprocess_exec(os.environ["BROWSER"], url, env=environment)).wait()
    return mcp_types.ElicitResult(action="accept")


class Memory:
    """The SDK's token storage, for as long as this process lives."""

    tokens = client = None

    async def get_tokens(self):
        return self.tokens

    async def set_tokens(self, tokens):
        self.tokens = tokens

    async def get_client_info(self):
        return self.client

    async def set_client_info(self, client):
        self.client = client


class Callback:
    """Where the browser comes back to: one answer a sign-in, on a random loopback port."""

    async def start(self):
        self.answers: asyncio.Queue = asyncio.Queue()
        self.server = await asyncio.start_server(self.serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self.server.sockets[0].getsockname()[1]}/callback"

    async def serve(self, reader, writer):
        target = (await reader.readline()).split()[1].decode()
        while (await reader.readline()).strip():
            pass
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 26\r\n\r\nYou may close this window.")
        await writer.drain()
        writer.close()
        if urlsplit(target).path == "/callback":
            self.answers.put_nowait(parse_qs(urlsplit(target).query))

    async def result(self) -> AuthorizationCodeResult:
        answer = await self.answers.get()
        if "code" not in answer:
            raise RuntimeError(f"{answer.get('error')}: {answer.get('error_description')}")
        return AuthorizationCodeResult(**{key: answer[key][0] for key in ("code", "state", "iss") if key in answer})


async def assertion(audience: str, resource: str) -> str:
    """An identity assertion of the provider's for this audience; the SDK leaves getting it to its user (RFC 8693)."""
    at = given["workload"]["assertion"]
    form = {
        "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
        "requested_token_type": "urn:ietf:params:oauth:token-type:id-jag",
        "audience": audience,
        "resource": resource,
        "subject_token": at["idToken"],
        "subject_token_type": "urn:ietf:params:oauth:token-type:id_token",
        "client_id": at["id"],
        "client_secret": at["secret"],
    }
    async with httpx2.AsyncClient(trust_env=False) as http:
        return (await http.post(f"{at['idp']}/token", data=form)).raise_for_status().json()["access_token"]


def workload(storage: Memory):
    """A program that signs in as itself, or for a person without a browser, with the SDK's own providers."""
    it = given.get("workload")
    if not it:
        return None
    if "assertion" in it:
        return IdentityAssertionOAuthProvider(
            given["url"], storage, client_id=it["id"], client_secret=it["secret"], issuer=given["url"], assertion_provider=assertion
        )
    if "key" in it:
        signed = SignedJWTParameters(issuer=it["id"], subject=it["id"], signing_key=it["key"], signing_algorithm=it["algorithm"])
        return PrivateKeyJWTOAuthProvider(
            given["url"], storage, client_id=it["id"], assertion_provider=signed.create_assertion_provider(), issuer=given["url"]
        )
    return ClientCredentialsOAuthProvider(
        given["url"], storage, client_id=it["id"], client_secret=it["secret"], token_endpoint_auth_method=it["method"], issuer=given["url"]
    )


async def mcp_client(stack: AsyncExitStack, storage: Memory):
    callback = Callback()
    await callback.start()

    async def redirect(url: str) -> None:
        browse(url)

    oauth = workload(storage) or OAuthClientProvider(
        given["url"],
        OAuthClientMetadata(client_name="Python mcp", redirect_uris=[callback.url], token_endpoint_auth_method="none"),
        storage,
        redirect,
        callback.result,
    )
    http = await stack.enter_async_context(create_mcp_http_client(auth=oauth))
    return Client(
        streamable_http_client(given["url"], http_client=http),
        mode=given.get("mode", "auto"),
        message_handler=on_message,
        elicitation_callback=on_elicitation if given.get("elicitation") else None,
        cache=None,
    )


async def remote_client():
    """`mcp-remote` as desktop applications use it: a child that speaks stdio to us and HTTP to the server."""
    return Client(
        StdioServerParameters(command="mcp-remote", args=[given["url"], "--allow-http"], env=dict(os.environ)),
        mode=given.get("mode", "auto"),
        message_handler=on_message,
        elicitation_callback=on_elicitation if given.get("elicitation") else None,
        cache=None,
    )


async def fast_client(storage: Memory):
    import fastmcp

    return fastmcp.Client(
        given["url"],
        auth="oauth",
        mode=given.get("mode", "auto"),
        message_handler=on_message,
        cache=False,
    )


class Session:
    def __init__(self):
        self.stack = AsyncExitStack()
        self.storage = Memory()
        self.client = None

    async def connect(self):
        match given["kind"]:
            case "mcp":
                client = await mcp_client(self.stack, self.storage)
            case "fastmcp":
                client = await fast_client(self.storage)
            case "mcp-remote":
                client = await remote_client()
        self.client = await self.stack.enter_async_context(client)
        inner = self.client.session
        version = inner.protocol_version
        return {
            "era": "modern" if version >= "2026-07-28" else "legacy",
            "version": version,
            "server": dump(inner.server_info),
            "capabilities": dump(inner.server_capabilities),
        }

    async def tools(self):
        return items(await self.client.list_tools(), "tools")

    async def prompts(self):
        return items(await self.client.list_prompts(), "prompts")

    async def resources(self):
        return items(await self.client.list_resources(), "resources")

    async def templates(self):
        return items(await self.client.list_resource_templates(), "resource_templates")

    async def call(self, name, arguments):
        if given["kind"] == "fastmcp":
            result = await self.client.call_tool(name, arguments, raise_on_error=False)
            return {"content": dump(result.content), "isError": result.is_error}
        return dump(await self.client.call_tool(name, arguments))

    async def prompt(self, name, arguments):
        return dump(await self.client.get_prompt(name, arguments))

    async def read(self, uri):
        result = await self.client.read_resource(uri)
        return {"contents": dump(result)} if isinstance(result, list) else dump(result)

    async def tokens(self):
        return dump(self.storage.tokens)

    async def notifications(self):
        return notifications

    async def elicitations(self):
        return elicitations

    async def close(self):
        await self.stack.aclose()


def dump(value):
    if isinstance(value, list):
        return [dump(each) for each in value]
    return value.model_dump(mode="json", by_alias=True, exclude_none=True) if hasattr(value, "model_dump") else value


def items(result, kind):
    return dump(result if isinstance(result, list) else getattr(result, kind))


def explain(error: BaseException):
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    detail = getattr(error, "error", None)
    return {
        "kind": type(error).__name__,
        "message": str(error),
        "code": getattr(detail, "code", None),
        "data": getattr(detail, "data", None),
    }


async def main():
    session = Session()
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        command = json.loads(line)
        name = command.pop("do")
        try:
            answer = {"ok": await getattr(session, name)(**command)}
        except (Exception, BaseExceptionGroup) as error:
            answer = {"error": explain(error)}
        print(json.dumps(answer), flush=True)
        if name == "close":
            break


asyncio.run(main())
os._exit(0)
