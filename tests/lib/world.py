"""What a test module lives in: an identity provider, the origins that it asks for, and a gateway in front of them."""

from pathlib import Path

import manifests as m
from browser import Browser
from drivers import Driver
from gateway import HOST, Gateway
from oauth import OAuthClient
from peers import ORIGIN_HOST, AuthorizationServer, Everything, IdentityProvider, Origin, Peer
from processes import free_port
from raw import MODERN, Caller
from tap import Tap

KEY = "the-origin-wants-this-api-key"
TOOL_SCOPES = {"echo": ["write"], "add": ["files"], "counter": ["nobody-has-this"]}


class Visitors:
    """The people who come to a world's gateway, with their browsers and clients. A world has a `folder` and a `url` by slug."""

    folder: Path

    def url(self, slug: str) -> str:
        raise NotImplementedError

    def browser(self, login: str = "ana", **wishes) -> Browser:
        """A browser of this person's own, as new."""
        count = len(list(self.folder.glob("browser-*")))
        return Browser.create(self.folder / f"browser-{count}", login, **wishes)

    def client(self, name: str, route: str, browser: Browser | None = None, **options) -> Driver:
        count = len(list(self.folder.glob("client-*")))
        folder = self.folder / f"client-{count}-{name}"
        folder.mkdir()
        return Driver(name, self.url(route), browser or self.browser(), folder, **options)

    def machine(self) -> str | None:
        """The address that the next OAuth client comes from."""
        return None

    def oauth(self, route: str) -> OAuthClient:
        return OAuthClient(self.url(route), machine=self.machine())

    def caller(self, route: str, browser: Browser | None = None, *, era: str = MODERN, token: str | None = None, **more) -> Caller:
        """Signs in by hand and returns a caller of single requests; in the legacy era one that has a session."""
        token = token or self.oauth(route).sign_in(browser or self.browser()).access_token
        caller = Caller(self.url(route), token, era, **more)
        if era != MODERN:
            caller.initialize()
        return caller


class Surroundings:
    """An origin of this name, what it needs beside it, and the manifests that bring it to a gateway."""

    def __init__(self, folder: Path, name: str, access_ttl: int = 3600):
        self.authorization: AuthorizationServer | None = None
        self.manifests: list[dict] = []
        auth = None
        match name:
            case "open":
                peer = Origin(folder, name)
            case "json":
                peer = Origin(folder, name, json=True)
            case "keyed":
                peer = Origin(folder, name, key=KEY)
                self.manifests.append(m.secret("key", hosts=ORIGIN_HOST, value=KEY))
                auth = {"header": {"name": "X-Api-Key", "valueRef": {"name": "key", "key": "value"}}}
            case "everything":
                peer = Everything(folder, name)
            case "accounts" | "stepping":
                port = free_port(ORIGIN_HOST)
                scope, tools = ("read write files", {"toolScopes": TOOL_SCOPES}) if name == "stepping" else ("read write", {})
                self.authorization = AuthorizationServer(folder, f"http://{ORIGIN_HOST}:{port}/mcp", accessTtl=access_ttl, scope=scope)
                peer = Origin(folder, name, port, issuer=self.authorization.base, **tools)
                auth = m.USER_OAUTH
            case _:
                raise ValueError(f"there is no origin called {name}")
        self.origin: Peer = peer
        self.peers: list[Peer] = [peer] if self.authorization is None else [self.authorization, peer]
        self.manifests += [m.origin(name, peer.url, auth), m.virtual(name, name)]


class World(Visitors):
    """Origins by name: `open` (answers by SSE), `json` (answers by JSON), `keyed` (an API key), `accounts` (OAuth), `everything`,
    `stepping` (OAuth, and some of its tools want more scopes)."""

    def __init__(self, folder: Path, *origins: str, tapped: bool = False, access_ttl: int = 3600, **gateway_spec):
        self.folder = folder
        port = free_port(HOST)
        self.tap = Tap(HOST, (HOST, port)) if tapped else None
        public_port = self.tap.port if self.tap else port
        self.idp = IdentityProvider(folder, f"http://{HOST}:{public_port}")
        self.peers: list[Peer] = [self.idp]
        self.origins: dict[str, Peer] = {}
        folder_of_manifests = m.Folder(
            folder / "manifests",
            m.gateway(f"http://{HOST}:{public_port}", m.oidc(self.idp.base), **gateway_spec),
            m.secret("idp", clientSecret=self.idp.secret),
        )
        self.manifests = folder_of_manifests
        self.gateway = Gateway(folder, folder_of_manifests, port, public_port)
        for name in origins:
            self._add(name, access_ttl)

    def _add(self, name: str, access_ttl: int) -> None:
        around = Surroundings(self.folder, name, access_ttl)
        if around.authorization:
            self.authorization = around.authorization
        self.peers += around.peers
        self.origins[name] = around.origin
        self.manifests.put(*around.manifests)

    def url(self, slug: str) -> str:
        return self.gateway.url(slug)

    def __enter__(self):
        started = []
        try:
            for peer in self.peers:
                started.append(peer)
                peer.launch()
            for peer in self.peers:
                peer.wait()
            self.gateway.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self.gateway.stop()
        for peer in reversed(self.peers):
            peer.stop()
        if self.tap:
            self.tap.close()
