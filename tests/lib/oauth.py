"""A plain OAuth client of the gateway, each step by hand, for what the SDKs do not let a test do."""

import base64
import hashlib
import secrets
from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx2
from browser import Browser, Visit

NOWHERE = "http://127.0.0.1:9/callback"  # nobody listens there: the browser stops and tells where it was sent


@dataclass
class Grant:
    access_token: str
    refresh_token: str | None
    expires_in: int
    raw: dict = field(repr=False, default_factory=dict)


class Denied(Exception):
    """The authorization endpoint answered with an error: its parameters."""

    def __init__(self, parameters: dict[str, str]):
        super().__init__(parameters.get("error", "no error given"))
        self.parameters = parameters


class OAuthClient:
    def __init__(self, resource: str, redirect: str = NOWHERE, name: str = "plain client", machine: str | None = None):
        """`machine` is the address that it comes from: what strangers may ask is limited for each."""
        self.http = httpx2.Client(timeout=20, trust_env=False, transport=httpx2.HTTPTransport(local_address=machine))
        self.resource = resource
        self.redirect = redirect
        challenge = self.http.post(resource, json={}).headers["www-authenticate"]
        self.metadata_url = challenge.split('resource_metadata="')[1].split('"')[0]
        self.protected = self.http.get(self.metadata_url).raise_for_status().json()
        self.issuer = self.protected["authorization_servers"][0]
        parts = urlsplit(self.issuer)
        self.server = self.http.get(f"{parts.scheme}://{parts.netloc}/.well-known/oauth-authorization-server{parts.path}").raise_for_status().json()
        self.client = self.http.post(
            self.server["registration_endpoint"],
            json={
                "client_name": name,
                "redirect_uris": [redirect],
                "grant_types": ["authorization_code", "refresh_token"],
                "response_types": ["code"],
                "token_endpoint_auth_method": "none",
            },
        ).raise_for_status().json()

    def authorize_url(self, **changes: str) -> str:
        self.verifier = secrets.token_urlsafe(48)
        self.state = f"{secrets.token_hex(8)}+/="
        digest = hashlib.sha256(self.verifier.encode()).digest()
        parameters = {
            "response_type": "code",
            "client_id": self.client["client_id"],
            "redirect_uri": self.redirect,
            "code_challenge": base64.urlsafe_b64encode(digest).rstrip(b"=").decode(),
            "code_challenge_method": "S256",
            "state": self.state,
            "resource": self.resource,
            "scope": "mcp",
            **changes,
        }
        return f"{self.server['authorization_endpoint']}?{urlencode(parameters)}"

    def visit(self, browser: Browser, **changes: str) -> Visit:
        """Opens the authorization page and goes to where it ends: this client's redirect, or a page that says no."""
        return browser.open(self.authorize_url(**changes))

    def code(self, browser: Browser) -> str:
        visit = self.visit(browser)
        assert visit.url.startswith(self.redirect), f"the browser ended at {visit.status} {visit.url}: {visit.page.text[:500]}"
        answer = {key: values[0] for key, values in parse_qs(urlsplit(visit.url).query).items()}
        assert answer.get("state") == self.state, "the state came back changed"
        assert answer.get("iss") == self.issuer, f"iss is {answer.get('iss')}, the issuer {self.issuer} (RFC 9207)"
        if "code" not in answer:
            raise Denied(answer)
        return answer["code"]

    def token(self, **form: str) -> httpx2.Response:
        return self.http.post(self.server["token_endpoint"], data={"client_id": self.client["client_id"], "resource": self.resource, **form})

    def exchange(self, code: str) -> Grant:
        answer = self.token(grant_type="authorization_code", code=code, redirect_uri=self.redirect, code_verifier=self.verifier)
        return grant(answer)

    def sign_in(self, browser: Browser) -> Grant:
        return self.exchange(self.code(browser))

    def refresh(self, refresh_token: str) -> httpx2.Response:
        return self.token(grant_type="refresh_token", refresh_token=refresh_token)

    def revoke(self, token: str) -> httpx2.Response:
        return self.http.post(self.server["revocation_endpoint"], data={"client_id": self.client["client_id"], "token": token})


def grant(answer: httpx2.Response) -> Grant:
    assert answer.status_code == 200, f"{answer.status_code} {answer.text}"
    assert answer.headers["cache-control"] == "no-store"
    body = answer.json()
    return Grant(body["access_token"], body.get("refresh_token"), body["expires_in"], body)
