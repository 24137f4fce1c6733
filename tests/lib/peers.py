"""The real parts around the gateway: an identity provider, origins of several kinds, an authorization server of an origin's own.

Each has an address of its own in 127.0.0.0/8: cookies go by host, and a browser must not carry the gateway's to an origin.
"""

import json
from pathlib import Path

import httpx2
from processes import Process, free_port, whole_lines

PEERS = Path(__file__).resolve().parent.parent / "peers"
PROVIDER_HOST = "127.0.0.2"
AUTHORIZATION_HOST = "127.0.0.3"
ORIGIN_HOST = "127.0.0.4"
PROXY_HOST = "127.0.0.5"
CUSTOMERS_HOST = "127.0.0.7"
PLAIN_HOST = "127.0.0.8"

PEOPLE = {
    "ana": {"email": "ana@example.com", "email_verified": True, "name": "Ana Lovelace", "groups": ["finance"]},
    "bob": {"email": "bob@example.com", "email_verified": True, "name": "Bob Hopper", "groups": ["engineering"]},
    "eve": {"email": "eve@example.com", "email_verified": True, "name": "Eve Nobody", "groups": []},
}


class Peer:
    """A process on an address of its own that writes down every request it receives."""

    host = "127.0.0.1"
    tls: dict | None = None  # of its server: files `certificate` and `key`, and `authority`, who vouches for it

    def __init__(self, folder: Path, name: str, port: int | None = None):
        self.folder = folder
        self.name = name
        self.port = port or free_port(self.host)
        self.record = folder / f"{name}.requests"
        self.record.parent.mkdir(parents=True, exist_ok=True)
        self.record.touch()
        self.process: Process | None = None

    @property
    def base(self) -> str:
        return f"{'https' if self.tls else 'http'}://{self.host}:{self.port}"

    def argv(self) -> list:
        raise NotImplementedError

    def launch(self) -> None:
        self.process = Process(self.argv(), log=self.folder / f"{self.name}.log", env=self.env())

    def wait(self) -> None:
        self.process.wait_ready(self.host, self.port)

    def start(self):
        self.launch()
        self.wait()
        return self

    def env(self) -> dict[str, str]:
        return {}

    def stop(self) -> None:
        if self.process:
            self.process.stop()

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()

    def requests(self) -> list[dict]:
        return [json.loads(line) for line in whole_lines(self.record)]

    def received(self) -> str:
        """Every byte received so far, as text."""
        return self.record.read_text()


class Provider(Peer):
    """A Node `oidc-provider`, with levers."""

    script = ""

    def __init__(self, folder: Path, name: str, **settings):
        super().__init__(folder, name)
        self.settings = {"accounts": PEOPLE, **settings}
        self.tls = settings.get("tls")

    def argv(self):
        given = {"host": self.host, "port": self.port, "log": str(self.record), **self.settings}
        return ["node", PEERS / self.script, json.dumps(given)]

    def lever(self, name: str, **given) -> None:
        httpx2.post(f"{self.base}/levers/{name}", json=given, trust_env=False).raise_for_status()


class IdentityProvider(Provider):
    script = "identity-provider.mjs"
    secret = "the-identity-provider-knows-the-gateway-by-this"

    def __init__(self, folder: Path, public_url: str, *, host: str = PROVIDER_HOST, **settings):
        self.host = host
        super().__init__(folder, "identity-provider", redirect=f"{public_url}/login/callback", secret=self.secret, **settings)


class CustomersProvider(IdentityProvider):
    """Another one, for other people; some have the same names."""

    host = CUSTOMERS_HOST


class PlainOAuth(Provider):
    """A site that people sign in at with OAuth alone."""

    host = PLAIN_HOST
    script = "plain-oauth.mjs"
    secret = IdentityProvider.secret

    def __init__(self, folder: Path, public_url: str, **settings):
        super().__init__(folder, "plain-oauth", redirect=f"{public_url}/login/callback", secret=self.secret, **settings)


class AuthorizationServer(Provider):
    host = AUTHORIZATION_HOST
    script = "authorization-server.mjs"

    def __init__(self, folder: Path, resource: str, **settings):
        super().__init__(folder, "authorization-server", resource=resource, **settings)

    def tokens(self) -> set[str]:
        """Every access token, refresh token and client secret that it has issued: an origin's credentials, in the clear."""
        found = set()
        for request in self.requests():
            if request["url"].startswith(("/token", "/reg")) and request["answer"].startswith("{"):
                answer = json.loads(request["answer"])
                found |= {answer[key] for key in ("access_token", "refresh_token", "client_secret", "registration_access_token") if key in answer}
        return found


class Origin(Peer):
    """The Python origin: open, with an API key, or behind an authorization server."""

    host = ORIGIN_HOST

    def __init__(self, folder: Path, name: str = "origin", port: int | None = None, **settings):
        super().__init__(folder, name, port)
        self.settings = settings
        self.tls = settings.get("tls")

    @property
    def url(self) -> str:
        return f"{self.base}/mcp"

    def argv(self):
        given = {"host": self.host, "port": self.port, "log": str(self.record), "name": self.name, **self.settings}
        return ["python", PEERS / "origin.py", json.dumps(given)]

    def messages(self, method: str | None = None) -> list[dict]:
        """The JSON-RPC messages that reached it, each with the `headers` that it came with."""
        found = []
        for request in self.requests():
            if request["method"] == "POST" and request["body"].startswith("{"):
                message = json.loads(request["body"])
                if method in (None, message.get("method")):
                    pairs = request["headers"]
                    found.append(message | {"headers": dict(zip(pairs[::2], pairs[1::2], strict=True))})
        return found

    def tools_called(self) -> list[str]:
        return [message["params"]["name"] for message in self.messages("tools/call")]


class Proxy(Peer):
    """An HTTP proxy that does what its client asks with CONNECT, and writes down what that was."""

    host = PROXY_HOST

    def __init__(self, folder: Path, name: str = "proxy", **settings):
        super().__init__(folder, name)
        self.settings = settings

    def argv(self):
        given = {"host": self.host, "port": self.port, "log": str(self.record), **self.settings}
        return ["python", PEERS / "proxy.py", json.dumps(given)]

    def asked(self) -> list[str]:
        """The request lines' targets so far."""
        return [request["target"] for request in self.requests()]


class Everything(Peer):
    """`@modelcontextprotocol/server-everything`: the reference server of the legacy era."""

    @property
    def url(self) -> str:
        return f"{self.base}/mcp"

    def argv(self):
        return ["mcp-server-everything", "streamableHttp"]

    def env(self):
        return {"PORT": str(self.port)}
