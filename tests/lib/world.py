"""What a test module lives in: an identity provider, the origins that it asks for, and a gateway in front of them."""

from pathlib import Path

import manifests as m
from browser import Browser
from drivers import Driver
from gateway import HOST, Gateway
from oauth import OAuthClient
from peers import AUTHORIZATION_HOST, ORIGIN_HOST, AuthorizationServer, Everything, IdentityProvider, Origin, Peer
from processes import free_port
from raw import MODERN, Caller
from tap import Tap

KEY = "the-origin-wants-this-api-key"
AWKWARD_KEY = "the origin wants+this&key=ü"  # as it is before it is encoded
CLIENT_SECRET = "the-origins-server-knows-the-gateway-by-this"
CLIENT = {"id": "gateway", "secretRef": {"name": "client", "key": "secret"}}
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
            case "queried":
                peer = Origin(folder, name, query=AWKWARD_KEY)
                self.manifests.append(m.secret("query", hosts=ORIGIN_HOST, value=AWKWARD_KEY))
                auth = {"queryParameter": {"name": "api_key", "valueRef": {"name": "query", "key": "value"}}}
            case "everything":
                peer = Everything(folder, name)
            case "accounts":
                peer = self._protected(folder, name, access_ttl)
                auth = m.USER_OAUTH
            case "stepping":
                peer = self._protected(folder, name, access_ttl, TOOL_SCOPES, scope="read write files")
                auth = m.USER_OAUTH
            case "shared":
                peer = self._protected(folder, name, access_ttl)
                auth = {"sharedOAuth": {"scopes": ["read"]}}
            case "machine":
                client = {
                    "client_id": CLIENT["id"], "client_secret": CLIENT_SECRET, "grant_types": ["client_credentials"],
                    "redirect_uris": [], "response_types": [],
                }  # fmt: skip
                peer = self._protected(folder, name, access_ttl, clients=[client])
                self.manifests.append(m.secret("client", hosts=AUTHORIZATION_HOST, secret=CLIENT_SECRET))
                auth = {"clientCredentials": {"client": CLIENT, "scopes": ["read"]}}
            case _:
                raise ValueError(f"there is no origin called {name}")
        self.origin: Peer = peer
        self.peers: list[Peer] = [peer] if self.authorization is None else [self.authorization, peer]
        self.manifests += [m.origin(name, peer.url, auth), m.virtual(name, name)]

    def _protected(self, folder: Path, name: str, access_ttl: int, tool_scopes: dict | None = None, **settings) -> Origin:
        """An origin behind an authorization server of its own."""
        port = free_port(ORIGIN_HOST)
        self.authorization = AuthorizationServer(folder, f"http://{ORIGIN_HOST}:{port}/mcp", accessTtl=access_ttl, **settings)
        return Origin(folder, name, port, issuer=self.authorization.base, toolScopes=tool_scopes or {})


class World(Visitors):
    """Origins by name: `open` (answers by SSE), `json` (answers by JSON), `keyed` (an API key), `queried` (one in the query), `accounts` (OAuth),
    `shared` (OAuth with one account for all), `machine` (OAuth in the gateway's own name), `stepping` (OAuth, and some of its
    tools want more scopes), `everything`."""

    def __init__(self, folder: Path, *origins: str, tapped: bool = False, access_ttl: int = 3600, provider: dict | None = None, **gateway_spec):
        """`provider` are settings of the identity provider's, everything else those of the gateway."""
        self.folder = folder
        port = free_port(HOST)
        self.tap = Tap(HOST, (HOST, port)) if tapped else None
        public_port = self.tap.port if self.tap else port
        self.idp = IdentityProvider(folder, f"http://{HOST}:{public_port}", **(provider or {}))
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
