"""Tokens that somebody made or took from elsewhere. Each is well formed but for one thing (RFC 8725, RFC 9068 section 4)."""

import base64
import hmac
import json
import time

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from raw import LEGACY


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def unb64(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


@pytest.fixture(scope="module")
def key(world):
    """The gateway's own signing key, as whoever reads its state folder would have it: what is refused is not the signature."""
    entry = json.loads((world.gateway.state / "keys.json").read_text())["signing"][0]
    return entry["id"], Ed25519PrivateKey.from_private_bytes(unb64(entry["key"]))


@pytest.fixture(scope="module")
def claims(token):
    return jwt.decode(token, options={"verify_signature": False})


def signed(claims: dict, key, headers: dict | None = None, algorithm: str = "EdDSA") -> str:
    return jwt.encode(claims, key[1], algorithm=algorithm, headers={"typ": "at+jwt", "kid": key[0], **(headers or {})})


def with_head(token: str, head: dict) -> str:
    return ".".join([b64(json.dumps(head).encode()), *token.split(".")[1:]])


def refused(world, token: str, route: str = "open") -> None:
    answer = world.caller(route, token=token).call("echo", text="x")
    assert answer.status == 401, answer.text
    assert 'error="invalid_token"' in answer.headers["www-authenticate"]


def test_a_token_that_we_sign_ourselves_is_honoured_so_that_the_rest_proves_something(world, key, claims):
    assert world.caller("open", token=signed(claims, key)).call("echo", text="x").result["content"][0]["text"] == "x"


@pytest.mark.parametrize("algorithm", ["none", "None", "nOnE"])
def test_a_token_without_a_signature_is_refused(world, unseen, key, claims, algorithm):
    body = b64(json.dumps(claims).encode())
    head = b64(json.dumps({"alg": algorithm, "typ": "at+jwt", "kid": key[0]}).encode())
    refused(world, f"{head}.{body}.")
    refused(world, f"{head}.{body}.{signed(claims, key).split('.')[2]}")


def test_a_token_signed_with_our_public_key_as_a_secret_is_refused(world, unseen, http, base, key, claims):
    public = http.get(f"{base}/oauth/jwks").json()["keys"][0]
    for secret in (unb64(public["x"]), public["x"].encode(), json.dumps(public).encode()):
        signed = ".".join(b64(json.dumps(part).encode()) for part in ({"alg": "HS256", "typ": "at+jwt", "kid": key[0]}, claims))
        refused(world, f"{signed}.{b64(hmac.digest(secret, signed.encode(), 'sha256'))}")


def test_a_token_of_somebody_elses_key_is_refused_under_our_key_id_and_under_its_own(world, unseen, key, claims):
    theirs = Ed25519PrivateKey.generate()
    for kid in (key[0], "theirs", "", "../keys.json", "0' or '1'='1"):
        refused(world, signed(claims, (kid, theirs)))


def test_a_key_that_the_token_brings_along_is_not_used(world, unseen, key, claims):
    theirs = Ed25519PrivateKey.generate()
    public = {"kty": "OKP", "crv": "Ed25519", "x": b64(theirs.public_key().public_bytes_raw())}
    for head in ({"jwk": public}, {"jku": "https://evil.example/jwks"}, {"x5u": "https://evil.example/cert"}):
        refused(world, signed(claims, (key[0], theirs), head))


def test_a_token_without_a_key_id_is_refused(world, unseen, key, claims):
    whole = jwt.encode(claims, key[1], algorithm="EdDSA", headers={"typ": "at+jwt"})
    assert "kid" not in jwt.get_unverified_header(whole)
    refused(world, whole)


@pytest.mark.parametrize("typ", ["JWT", "jwt", None, "at+JWT+x", "oauth-id-jag+jwt", "dpop+jwt", "logout+jwt"])
def test_a_token_of_another_type_is_refused(world, unseen, key, claims, typ):
    refused(world, signed(claims, key, {"typ": typ}))


@pytest.mark.parametrize(
    "changes",
    [
        {"aud": "https://elsewhere.example/mcp/open"},
        {"aud": []},
        {"aud": None},
        {"iss": "https://elsewhere.example/mcp/open"},
        {"route": "another"},
        {"sub": "company:nobody"},
        {"exp": 1},
        {"exp": "never"},
        {"exp": -1},
        {"sub": None},
        {"grant": None},
    ],
    ids=str,
)
def test_a_token_of_our_own_key_that_claims_something_else_is_refused(world, unseen, key, claims, changes):
    refused(world, signed({**claims, **changes}, key))


def test_a_token_whose_audience_is_a_list_with_ours_in_it_is_refused(world, unseen, key, claims):
    refused(world, signed({**claims, "aud": [claims["aud"], "https://elsewhere.example"]}, key))


def test_a_token_for_another_route_is_refused_whatever_it_says_of_the_first(world, unseen, base, key, claims, token):
    refused(world, token, "other")
    refused(world, signed({**claims, "aud": f"{base}/mcp/other"}, key), "other")
    refused(world, signed({**claims, "aud": f"{base}/mcp/other", "iss": f"{base}/mcp/other"}, key), "other")
    refused(world, signed({**claims, "aud": f"{base}/MCP/open"}, key))
    refused(world, signed({**claims, "aud": f"{base}/mcp/open/"}, key))


def test_a_token_that_has_expired_is_refused_to_the_second(world, unseen, key, claims):
    refused(world, signed({**claims, "exp": int(time.time()) - 1}, key))


def test_a_token_in_another_spelling_is_refused(world, unseen, token):
    head, body, signature = token.split(".")
    opened = jwt.get_unverified_header(token)
    for spelling in (
        f"{head}.{body}.{signature}.",
        f"{head}.{body}.{signature}.{signature}",
        f"{head}.{body}.{signature}=",
        f"{head}={body}.{signature}",
        with_head(token, {**opened, "alg": "eddsa"}),
        with_head(token, {**opened, "crit": ["exp"]}),
        f"{head}.{body}." + signature[:-1],
        token + "x" * 10_000,
    ):
        refused(world, spelling)


def test_a_token_of_the_identity_provider_is_none_of_ours(world, unseen, ana, token):
    """Token passthrough (MCP, security best practices): what another issuer made is refused, whatever it is worth there."""
    given = [json.loads(each["answer"]) for each in world.idp.requests() if each["url"].startswith("/token") and each["answer"].startswith("{")]
    assert given, "nobody has signed in"
    for each in given:
        for name in ("access_token", "id_token"):
            if name in each:
                refused(world, each[name])


def test_a_refresh_token_or_a_code_is_no_access_token(world, unseen, ana):
    oauth = world.oauth("open")
    refused(world, oauth.code(ana))
    refused(world, oauth.sign_in(ana).refresh_token)


@pytest.mark.parametrize("place", ["query", "form", "cookie", "header of another name"])
def test_a_token_counts_only_in_the_authorization_header(world, unseen, http, base, token, place):
    """RFC 9700 section 4.3.2, OAuth 2.1 section 5.1.1, MCP basic/authorization: never in the query."""
    ping = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
    asked = {
        "query": {"params": {"access_token": token}, "json": ping},
        "form": {"data": {"access_token": token}},
        "cookie": {"headers": {"Cookie": f"access_token={token}; Authorization=Bearer {token}"}, "json": ping},
        "header of another name": {"headers": {"X-Forwarded-Access-Token": token, "Proxy-Authorization": f"Bearer {token}"}, "json": ping},
    }
    answer = http.post(f"{base}/mcp/open", **asked[place])
    assert answer.status_code == 401
    assert "error" not in answer.headers["www-authenticate"]
    assert token not in "".join(map(json.dumps, world.gateway.events())) + world.gateway.log()


@pytest.mark.parametrize("value", ["Bearer", "Basic {t}", "Token {t}", "{t}", "Bearer {t} {t}", "Bearer {t},Bearer {t}", "Bearer\t{t}"])
def test_an_authorization_header_of_another_shape_is_refused(world, unseen, http, base, token, value):
    answer = http.post(f"{base}/mcp/open", json={"jsonrpc": "2.0", "id": 1, "method": "ping"}, headers={"Authorization": value.format(t=token)})
    assert answer.status_code == 401


def test_two_authorization_headers_are_refused_whichever_comes_first(world, unseen, http, base, token):
    for order in ((token, "x"), ("x", token), (token, token)):
        headers = [("Authorization", f"Bearer {each}") for each in order] + [("Accept", "application/json, text/event-stream")]
        assert http.post(f"{base}/mcp/open", json={"jsonrpc": "2.0", "id": 1, "method": "ping"}, headers=headers).status_code == 401


def test_a_session_is_worth_nothing_without_its_owners_token_and_nothing_on_another_route(world, token):
    """A stolen session id (MCP, security best practices, "Session Hijacking")."""
    session = world.caller("open", token=token, era=LEGACY).session
    thief = world.caller("open", world.browser("bob"), era=LEGACY)
    thief.session = session
    assert thief.call("echo", text="x").status == 404
    thief.token = None
    assert thief.call("echo", text="x").status == 401
    elsewhere = world.caller("other", world.browser("ana"), era=LEGACY)
    elsewhere.session = session
    assert elsewhere.call("echo", text="x").status == 404


def test_a_session_id_that_was_changed_opens_nothing(world, token):
    owner = world.caller("open", token=token, era=LEGACY)
    whole = owner.session
    for changed in (whole[:-1], whole + "A", whole[1:], "B" + whole[1:], whole[:-2] + ("AA" if whole[-2:] != "AA" else "BB"), whole.swapcase(), "A" * 6_000, "é", "'"):
        owner.session = changed
        headers = {"Accept": "application/json, text/event-stream", "Authorization": f"Bearer {token}", "Mcp-Session-Id": changed.encode("latin-1")}
        answer = owner.http.post(owner.url, json={"jsonrpc": "2.0", "id": 1, "method": "ping"}, headers=headers)
        assert answer.status_code == 404, changed[:50]
