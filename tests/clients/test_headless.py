"""Programs sign in as themselves, with the providers that the SDKs ship (extension io.modelcontextprotocol/oauth-client-credentials)."""

import secrets
import time

import httpx2
import jwt
import manifests as m
import pytest
import yaml
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from drivers import ClientError
from world import World

SECRET = "a-secret-of-the-reporter-that-is-long-enough"
GRANT = "client_credentials"
JWT_BEARER = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
KEYS = {
    "ES256": ec.generate_private_key(ec.SECP256R1()),
    "RS256": rsa.generate_private_key(public_exponent=65537, key_size=2048),
    "EdDSA": ed25519.Ed25519PrivateKey.generate(),
}


def pem(key) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


def jwk(algorithm: str) -> dict:
    public = jwt.get_algorithm_by_name(algorithm).to_jwk(KEYS[algorithm].public_key(), as_dict=True)
    public.pop("key_ops", None)
    return {**public, "kid": algorithm, "alg": algorithm}


def team(*workloads: str) -> dict:
    return m.team("machines", {"virtualMcp": "open", "tools": {"include": ["echo", "add"]}}, workloads=list(workloads))


@pytest.fixture(scope="module")
def world(folder):
    workloads = [{"name": "reporter", "displayName": "The reporter", "secretRef": {"name": "reporter", "key": "secret"}}]
    workloads += [{"name": f"signer-{name.lower()}", "jwks": {"keys": [jwk(name)]}} for name in KEYS]
    world = World(folder, "open", "json", clients={"workloads": workloads})
    world.manifests.put(m.secret("reporter", secret=SECRET), team(*(each["name"] for each in workloads)))
    with world:
        yield world


def metadata(world: World, route: str = "open") -> dict:
    return httpx2.get(f"{world.url(route)}/.well-known/oauth-authorization-server", trust_env=False).raise_for_status().json()


def ask(world: World, route: str = "open", **form) -> httpx2.Response:
    return httpx2.post(metadata(world, route)["token_endpoint"], data={"grant_type": GRANT, **form}, trust_env=False)


def assertion(world: World, name: str, route: str = "open", **changes) -> str:
    now = int(time.time())
    claims = {"iss": name, "sub": name, "aud": world.url(route), "iat": now, "exp": now + 60, "jti": secrets.token_hex(8)}
    return jwt.encode(claims | changes, KEYS["ES256"], algorithm="ES256", headers={"kid": "ES256"})


WAYS = {
    "secret": {"id": "reporter", "secret": SECRET, "method": "client_secret_basic"},
    "posted": {"id": "reporter", "secret": SECRET, "method": "client_secret_post"},
    **{name: {"id": f"signer-{name.lower()}", "key": pem(key), "algorithm": name} for name, key in KEYS.items()},
}


# The TypeScript SDKs sign with no EdDSA key.
PAIRS = [(name, way) for name in ("typescript-sdk", "typescript-client", "python-mcp") for way in WAYS if way != "EdDSA" or name == "python-mcp"]


@pytest.mark.requirement("as.client.secret", "as.client.assertion", "as.headless.workload")
@pytest.mark.parametrize(("name", "way"), PAIRS)
def test_an_sdk_signs_a_program_in_and_it_calls_what_its_team_may(world, name, way):
    cursor = world.gateway.cursor()
    client = world.client(name, "open", workload=WAYS[way])
    try:
        client.connect()
        assert set(client.names()) == {"echo", "add"}
        assert client.text("echo", text="hello") == "hello"
        with pytest.raises(ClientError):
            client.call("slowly", steps=1)
    finally:
        client.stop()
    who = WAYS[way]["id"]
    world.gateway.wait_event("mcp.capability", after=cursor, subject=f"system:workload:{who}", client_id=who, capability="echo", outcome="success")


@pytest.mark.requirement("as.headless.short")
def test_a_token_is_for_one_route_and_cannot_be_refreshed(world):
    answer = ask(world, client_id="reporter", client_secret=SECRET)
    assert answer.status_code == 200, answer.text
    assert answer.headers["cache-control"] == "no-store"
    assert "refresh_token" not in answer.json()
    token = answer.json()["access_token"]
    assert world.caller("open", token=token).call("echo", text="hello").status == 200
    elsewhere = httpx2.post(world.url("json"), json={}, headers={"Authorization": f"Bearer {token}"}, trust_env=False)
    assert elsewhere.status_code == 401
    cursor = world.gateway.cursor()
    refused = ask(world, "json", client_id="reporter", client_secret=SECRET)
    assert (refused.status_code, refused.json()["error"]) == (400, "access_denied")
    world.gateway.wait_event("auth.token", after=cursor, outcome="denied", reason="no_access", client_id="reporter")


@pytest.mark.requirement("as.client.assertion")
def test_an_assertion_counts_once_and_for_this_issuer_alone(world):
    signed = assertion(world, "signer-es256")
    form = {"client_assertion_type": JWT_BEARER, "client_assertion": signed}
    assert ask(world, **form).status_code == 200
    cursor = world.gateway.cursor()
    again = ask(world, **form)
    assert (again.status_code, again.json()["error"]) == (401, "invalid_client")
    world.gateway.wait_event("auth.token", after=cursor, reason="assertion_reused")
    for changes in ({"aud": world.url("json")}, {"iss": "reporter"}, {"exp": int(time.time()) - 120}, {"jti": None}):
        refused = ask(world, client_assertion_type=JWT_BEARER, client_assertion=assertion(world, "signer-es256", **changes))
        assert (refused.status_code, refused.json()["error"]) == (401, "invalid_client"), changes
    assert signed not in world.gateway.stdout.read_text() + world.gateway.log()


@pytest.mark.requirement("as.headless.metadata")
def test_metadata_says_how_programs_sign_in(world):
    document = metadata(world)
    assert GRANT in document["grant_types_supported"]
    assert {"private_key_jwt", "client_secret_basic"} <= set(document["token_endpoint_auth_methods_supported"])
    assert {"ES256", "RS256", "EdDSA"} <= set(document["token_endpoint_auth_signing_alg_values_supported"])


def test_a_service_accounts_token_is_refused_outside_a_cluster_and_told_why(world):
    refused = ask(world, grant_type="urn:ietf:params:oauth:grant-type:jwt-bearer", assertion=assertion(world, "x"))
    assert (refused.status_code, refused.json()["error"]) == (400, "unsupported_grant_type")
    assert "serve --kubernetes" in refused.json()["error_description"]


@pytest.mark.requirement("as.headless.short")
def test_a_program_that_is_taken_out_loses_its_access_at_once(world):
    token = ask(world, client_id="reporter", client_secret=SECRET).json()["access_token"]
    caller = world.caller("open", token=token)
    assert caller.call("echo", text="hello").status == 200
    file = world.manifests.path / "mcpgateway-gateway.yaml"
    before = file.read_text()
    gateway = yaml.safe_load(before)
    gateway["spec"]["clients"]["workloads"] = [each for each in gateway["spec"]["clients"]["workloads"] if each["name"] != "reporter"]
    try:
        world.gateway.edited(lambda: world.manifests.put(gateway))
        assert caller.call("echo", text="hello").status == 401
        gone = ask(world, client_id="reporter", client_secret=SECRET)
        assert (gone.status_code, gone.json()["error"]) == (401, "invalid_client")
    finally:
        world.gateway.edited(lambda: world.manifests.write(file.name, before))
