"""Clients on record as scripts: those that cannot be had without their vendor's network, and habits of versions that are still in use of
those that can. What they do is taken from what is on public record of each: this is not their code. (What registries ship runs for real:
clients/test_clients.py, clients/test_vendors.py, and test_programs.py here.)"""

import base64
import hashlib
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import parse_qs, quote, urlencode, urlsplit

import httpx2
import jwt
from browser import Browser
from cryptography.hazmat.primitives.asymmetric import ec
from processes import free_port


@dataclass
class Discovered:
    typed: str
    protected: dict
    server: dict


def as_listed(found: Discovered) -> str | None:
    return " ".join(found.protected["scopes_supported"])


@dataclass
class Habits:
    """What is particular of a client. The rest is as the specification has it."""

    name: str
    redirects: list[str]
    uses: Callable[[], str]  # the redirect URI of this run
    document: dict | None = None  # its client ID metadata document; else it registers
    scope: Callable[[Discovered], str | None] = as_listed
    resource: Callable[[Discovered], str | None] = lambda found: found.protected["resource"]
    root: bool = False  # knows no protected resource metadata: asks the bare origin
    state: Callable[[], str] = lambda: secrets.token_urlsafe(16)
    key: ec.EllipticCurvePrivateKey | None = None  # for private_key_jwt
    parameters: dict[str, str] = field(default_factory=dict)


class Script:
    """One run of a client with these habits."""

    def __init__(self, habits: Habits, url: str):
        self.habits, self.url = habits, url
        self.http = httpx2.Client(timeout=20, trust_env=False, headers={"User-Agent": habits.name})
        self.redirect = habits.uses()
        self.found = self._discover()
        self.client_id = habits.document["client_id"] if habits.document else self._register()["client_id"]

    def _discover(self) -> Discovered:
        parts = urlsplit(self.url)
        origin = f"{parts.scheme}://{parts.netloc}"
        if self.habits.root:
            server = self.http.get(f"{origin}/.well-known/oauth-authorization-server").raise_for_status().json()
            return Discovered(self.url, {}, server | {"registration_endpoint": f"{origin}/register"})
        challenge = self.http.post(self.url, json={}).headers["www-authenticate"]
        protected = self.http.get(challenge.split('resource_metadata="')[1].split('"')[0]).raise_for_status().json()
        issuer = urlsplit(protected["authorization_servers"][0])
        place = f"{issuer.scheme}://{issuer.netloc}/.well-known/oauth-authorization-server{issuer.path}"
        server = self.http.get(place).raise_for_status().json()
        assert server["issuer"] == protected["authorization_servers"][0]
        assert "S256" in server["code_challenge_methods_supported"]
        return Discovered(self.url, protected, server)

    def _register(self) -> dict:
        asked = {
            "client_name": self.habits.name,
            "redirect_uris": self.habits.redirects,
            "grant_types": ["authorization_code", "refresh_token"],
            "response_types": ["code"],
            "token_endpoint_auth_method": "none",
        }
        answer = self.http.post(self.found.server["registration_endpoint"], json=asked)
        assert answer.status_code == 201, answer.text
        assert answer.json()["redirect_uris"] == self.habits.redirects
        return answer.json()

    def authorize(self, browser: Browser) -> str:
        """Sends the user to the authorization page; returns the code."""
        self.verifier = secrets.token_urlsafe(48)
        digest = hashlib.sha256(self.verifier.encode()).digest()
        state = self.habits.state()
        asked = {
            "response_type": "code",
            "client_id": self.client_id,
            "redirect_uri": self.redirect,
            "code_challenge": base64.urlsafe_b64encode(digest).rstrip(b"=").decode(),
            "code_challenge_method": "S256",
            "state": state,
            "scope": self.habits.scope(self.found),
            "resource": self.habits.resource(self.found),
            **self.habits.parameters,
        }
        asked = {name: value for name, value in asked.items() if value is not None}
        visit = browser.open(f"{self.found.server['authorization_endpoint']}?{urlencode(asked, quote_via=quote)}")
        assert visit.url.startswith(self.redirect), f"{visit.status} {visit.url}: {visit.page.text[:400]}"
        answer = parse_qs(urlsplit(visit.url).query)
        assert answer["state"] == [state]
        assert answer["iss"] == [self.found.server["issuer"]]
        return answer["code"][0]

    def _authentication(self) -> dict[str, str]:
        """A key, where there is one and the server takes it; else nothing but the id."""
        if not self.habits.key or "private_key_jwt" not in self.found.server["token_endpoint_auth_methods_supported"]:
            return {"client_id": self.client_id}
        now = int(time.time())
        claims = {"iss": self.client_id, "sub": self.client_id, "aud": self.found.server["issuer"], "iat": now, "exp": now + 60}
        assertion = jwt.encode(claims | {"jti": secrets.token_hex(8)}, self.habits.key, "ES256", headers={"kid": "1"})
        kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
        return {"client_id": self.client_id, "client_assertion_type": kind, "client_assertion": assertion}

    def token(self, **form: str) -> dict:
        resource = self.habits.resource(self.found)
        form |= {"resource": resource} if resource else {}
        answer = self.http.post(self.found.server["token_endpoint"], data={**self._authentication(), **form})
        assert answer.status_code == 200, answer.text
        return answer.json()

    def sign_in(self, browser: Browser) -> dict:
        code = self.authorize(browser)
        return self.token(grant_type="authorization_code", code=code, redirect_uri=self.redirect, code_verifier=self.verifier)

    def refresh(self, tokens: dict) -> dict:
        return self.token(grant_type="refresh_token", refresh_token=tokens["refresh_token"])


def loopback(path: str, host: str = "127.0.0.1") -> Callable[[], str]:
    return lambda: f"http://{host}:{free_port()}{path}"


def document(url: str, name: str, redirects: list[str], **more) -> dict:
    kinds = {"grant_types": ["authorization_code", "refresh_token"], "response_types": ["code"]}
    return {"client_id": url, "client_name": name, "redirect_uris": redirects, **kinds, "token_endpoint_auth_method": "none", **more}


CLAUDE_CODE = ["http://localhost/callback", "http://127.0.0.1/callback"]
CHATGPT = ["https://chatgpt.com/connector/oauth/a1b2c3d4"]
CHATGPT_KEY = ec.generate_private_key(ec.SECP256R1())
VSCODE = ["https://insiders.vscode.dev/redirect", "https://vscode.dev/redirect", "http://127.0.0.1/", "http://127.0.0.1:33418/"]
CURSOR = ["cursor://anysphere.cursor-mcp/oauth/callback", "https://www.cursor.com/agents/mcp/oauth/callback", "http://localhost:8787/callback"]

CLIENTS = [
    Habits(
        "Claude Code",
        CLAUDE_CODE,
        loopback("/callback", "localhost"),
        document("https://claude.ai/oauth/claude-code-client-metadata", "Claude Code", CLAUDE_CODE),
    ),
    Habits("Visual Studio Code", VSCODE, loopback("/"), state=lambda: base64.b64encode(b"\xfb\xff\xbf" + secrets.token_bytes(13)).decode()),
    Habits("Cursor", CURSOR, lambda: CURSOR[0]),
    Habits(
        "ChatGPT",
        CHATGPT,
        lambda: CHATGPT[0],
        document(
            "https://chatgpt.com/oauth/a1b2c3d4/client.json",
            "ChatGPT",
            CHATGPT,
            token_endpoint_auth_method="private_key_jwt",
            token_endpoint_auth_methods_supported=["private_key_jwt", "none"],
            token_endpoint_auth_signing_alg="ES256",
            jwks_uri="https://chatgpt.com/oauth/jwks.json",
        ),
        key=CHATGPT_KEY,
    ),
    Habits(
        "Codex",
        ["http://127.0.0.1/callback"],
        loopback("/callback"),
        scope=lambda found: " ".join(found.server["scopes_supported"]),
        resource=lambda found: None,
    ),
    Habits("Gemini CLI", ["http://localhost/oauth/callback"], loopback("/oauth/callback", "localhost"), resource=lambda found: found.typed),
    Habits(
        "a client of the first revision",
        ["http://localhost:9/callback"],
        lambda: "http://localhost:9/callback",
        scope=lambda found: None,
        resource=lambda found: None,
        root=True,
    ),
    Habits("a client that asks for offline_access", ["http://127.0.0.1/callback"], loopback("/callback"), scope=lambda found: "openid mcp offline_access"),
    Habits("a client that never asks for a scope", ["http://127.0.0.1/callback"], loopback("/callback"), scope=lambda found: None),
]


def key_set() -> dict:
    """ChatGPT's, as its `jwks_uri` has it."""
    key = jwt.algorithms.ECAlgorithm.to_jwk(CHATGPT_KEY.public_key(), as_dict=True)
    return {"keys": [key | {"kid": "1", "alg": "ES256", "use": "sig"}]}
