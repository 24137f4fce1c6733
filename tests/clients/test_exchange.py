"""People's sign-ins as what an origin is used with: exchanged at its authorization server (RFC 8693), or asserted there by the identity
provider (ID-JAG). Here: what people are told who have no sign-in that could be used so."""

from pathlib import Path
from urllib.parse import parse_qsl

import manifests as m
from peers import AUTHORIZATION_HOST, ORIGIN_HOST, AuthorizationServer, Origin
from processes import free_port
from world import CLIENT, CLIENT_SECRET, World

TOKEN_EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
GRANTS = {"exchanged": TOKEN_EXCHANGE, "asserted": JWT_BEARER}
ROUTES = list(GRANTS)


class SignInWorld(World):
    """Two origins, `exchanged` and `asserted`, each behind an authorization server of its own that takes the identity provider's word."""

    def __init__(self, folder: Path, *, refresh: bool = True):
        provider = {"refresh": refresh, "elsewhere": CLIENT["id"]}
        super().__init__(folder, tapped=True, provider=provider, tenancy=tenancy(AUTHORIZATION_HOST))
        self.servers: dict[str, AuthorizationServer] = {}
        self.manifests.put(m.secret("client", hosts=AUTHORIZATION_HOST, secret=CLIENT_SECRET))
        self._protected("exchanged", "tokenExchange", audience="orders", subjectTokenType="id_token")
        self._protected("asserted", "idJag")

    def _protected(self, name: str, member: str, **auth: str) -> None:
        port = free_port(ORIGIN_HOST)
        gateway = {
            "client_id": CLIENT["id"], "client_secret": CLIENT_SECRET, "grant_types": [GRANTS[name]],
            "redirect_uris": [], "response_types": [],
        }  # fmt: skip
        word = {"issuer": self.idp.base, "audience": "portcullis"}
        resource = f"http://{ORIGIN_HOST}:{port}/mcp"
        server = AuthorizationServer(self.folder / name, resource, clients=[gateway], signIns=word)
        origin = Origin(self.folder, name, port, issuer=server.base)
        self.servers[name], self.origins[name] = server, origin
        self.peers += [server, origin]
        auth = {member: {"issuer": server.base, "client": CLIENT, "scopes": ["read"], **auth}}
        self.manifests.put(m.origin(name, origin.url, auth), m.virtual(name, name))

    def asked(self, route: str) -> list[dict]:
        """What the origin's server was asked for with people's sign-ins."""
        return forms(self.servers[route], GRANTS[route])


def tenancy(*hosts: str) -> list[dict]:
    return [{"namespaces": ["default"], "everyone": True, "privateNetworks": m.LOOPBACK, "identityTokenHosts": list(hosts)}]


def forms(provider, grant_type: str) -> list[dict]:
    found = [dict(parse_qsl(request["body"])) for request in provider.requests() if request["url"] == "/token"]
    return [form for form in found if form.get("grant_type") == grant_type]


def text(answer) -> str:
    return answer.result["content"][0]["text"]


def test_a_provider_that_gives_no_refresh_tokens_leaves_people_to_be_told_that_a_sign_in_is_needed(folder):
    with SignInWorld(folder / "no-refresh", refresh=False) as world:
        for route in ROUTES:
            caller = world.caller(route, world.browser("ana", connect=False))
            assert caller.names() == []
            answer = caller.call("whoami")
            assert answer.result["isError"], answer.text
            assert "sign-in" in text(answer)
            assert "/connect/" not in text(answer)
            event = world.gateway.wait_event("mcp.capability", reason="sign_in_needed", route=route)
            assert event["outcome"] == "denied"
            assert world.asked(route) == []
            assert world.origins[route].messages() == []
