"""The ways from the suite to the server: straight, through the gateway's routes, or (without a gateway) through the forwarder alone."""

import json
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import httpx2
import manifests as m
from browser import Browser
from forwarder import Forwarder
from gateway import HOST, Gateway
from oauth import OAuthClient
from peers import AuthorizationServer, IdentityProvider, Peer
from processes import free_port

HERE = Path(__file__).resolve().parent

# Every rule is there and none bites: lists are taken apart and put together again, calls are looked up.
CURATED = {
    "tools": {
        "include": ["*"],
        "exclude": ["no_such_*"],
        "overrides": [{"name": "test_error_handling", "description": "Fails, whoever calls it."}],
    },
    "prompts": {"include": ["*"], "exclude": ["no_such_*"]},
    "resources": {"include": ["test://*"], "exclude": ["no-such://*"]},
    "resourceTemplates": {"include": ["test://*"], "exclude": ["no-such://*"]},
}
TEAM = m.team("finance", {"virtualMcp": "curated", "tools": {"include": ["*"], "exclude": ["no_such_*"]}}, groups=["finance"])


@dataclass
class Side:
    name: str
    url: str


class Origin(Peer):
    """The suite wants a loopback name of the best known kind, so this one is at 127.0.0.1."""

    def __init__(self, folder: Path, name: str, **settings):
        super().__init__(folder, name)
        self.settings = settings

    @property
    def url(self) -> str:
        return f"{self.base}/mcp"

    def argv(self):
        return ["python", HERE / "origin/main.py", json.dumps({"host": self.host, "port": self.port, **self.settings})]


def straight(stack: ExitStack, folder: Path) -> Side:
    return Side("straight", stack.enter_context(Origin(folder, "straight")).url)


def through_forwarder(stack: ExitStack, folder: Path) -> list[Side]:
    port = free_port(HOST)
    origin = stack.enter_context(Origin(folder, "forwarded", authority=f"{HOST}:{port}"))
    forwarder = stack.enter_context(Forwarder(HOST, (HOST, origin.port), port))
    forwarder.tokens["/mcp"] = "a-token-that-nobody-looks-at"
    return [Side("forwarder", f"http://{HOST}:{port}/mcp")]


def protected(stack: ExitStack, folder: Path, name: str) -> Origin:
    """A server that requires the access tokens of an authorization server of its own."""
    origin = Origin(folder, name)
    (folder / f"accounts-{name}").mkdir()
    server = stack.enter_context(AuthorizationServer(folder / f"accounts-{name}", origin.url, accessTtl=3600))
    origin.settings["issuer"] = server.base
    return stack.enter_context(origin)


class Guarded:
    """The gateway with auth on, behind the forwarder: route `plain` leaves everything as it is, `curated` looks at everything. The user has an
    account at both origins: with a shared credential the gateway offers no tasks."""

    def __init__(self, stack: ExitStack, folder: Path):
        port = free_port(HOST)
        self.forwarder = stack.enter_context(Forwarder(HOST, (HOST, port)))
        idp = stack.enter_context(IdentityProvider(folder, f"http://{HOST}:{self.forwarder.port}"))
        origins = {name: protected(stack, folder, name) for name in ("plain", "curated")}
        resources = m.Folder(
            folder / "manifests",
            m.gateway(f"http://{HOST}:{self.forwarder.port}", m.oidc(idp.base), tokens={"access": "1h", "refresh": "24h"}),
            m.secret("idp", clientSecret=idp.secret),
            *(m.origin(name, origin.url, m.USER_OAUTH) for name, origin in origins.items()),
            m.virtual("plain", "plain"),
            m.virtual("curated", "curated", access="Teams", capabilities=CURATED),
            TEAM,
        )
        self.gateway = stack.enter_context(Gateway(folder, resources, port, self.forwarder.port))
        browser = Browser.create(folder / "browser", "ana")
        self.sides = []
        for name in origins:
            url = self.gateway.url(name)
            self.forwarder.tokens[f"/mcp/{name}"] = OAuthClient(url).sign_in(browser).access_token
            self.sides.append(Side(name, url))

    def refuses_without_token(self) -> bool:
        """Asks at the gateway's own port, past the forwarder, in the gateway's public name."""
        answers = [
            httpx2.post(
                f"http://{HOST}:{self.gateway.port}/mcp/{side.name}",
                headers={"Host": f"{HOST}:{self.forwarder.port}", "Accept": "application/json, text/event-stream"},
                json={"jsonrpc": "2.0", "id": 1, "method": "ping"},
                trust_env=False,
            )
            for side in self.sides
        ]
        return all(answer.status_code == 401 and "www-authenticate" in answer.headers for answer in answers)

    def saw(self, side: Side) -> int:
        """How many requests of this side the gateway has written down."""
        return len(self.gateway.events("mcp.request", route=side.name))
