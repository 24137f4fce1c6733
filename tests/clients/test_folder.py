"""A folder of manifests: `validate` says what is wrong and what to do; edits are served without a restart, broken ones never."""

import json

import manifests as m
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat
from gateway import run
from processes import wait_until
from world import World

PUBLIC = "http://127.0.0.1:8080"
SOUND = [
    m.gateway(PUBLIC, m.oidc("http://127.0.0.2:9000")),
    m.secret("idp", clientSecret="not very secret"),
    m.origin("linear", "http://127.0.0.4:9002/mcp"),
    m.virtual("linear-read", "linear", access="Teams", capabilities={"tools": {"include": ["list_*"]}}),
    m.team("finance", {"virtualMcp": "linear-read"}, groups=["finance"]),
]


@pytest.fixture
def sound(tmp_path):
    return m.Folder(tmp_path, *SOUND)


def test_a_sound_folder_is_valid(sound):
    result = run("validate", sound.path)
    assert result.returncode == 0, result.stdout + result.stderr


def with_spec(resource, **changes):
    return resource | {"spec": resource["spec"] | changes}


BROKEN = {
    "a field that is misspelt": (with_spec(SOUND[2], displayNam="Linear"), ["displayNam", "displayName"]),
    "an origin that does not exist": (m.virtual("linear-read", "liner"), ["liner"]),
    "a duration that is none": (m.gateway(PUBLIC, m.oidc("http://127.0.0.2:9000"), tokens={"access": "15 bananas"}), ["access", "15 bananas"]),
    "a size that is none": (with_spec(SOUND[2], limits={"responseBytes": "10Mb!"}), ["responseBytes"]),
    "two kinds of auth at once": (with_spec(SOUND[2], auth={"none": {}, "userOAuth": {}}), ["auth"]),
    "a Secret that does not opt in": (
        {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "idp"}, "stringData": {"clientSecret": "x"}},
        ["idp", "portcullis.dev/credential"],
    ),
    "a Secret that is not there": (m.secret("idp", other="x"), ["clientSecret"]),
    "a private network that tenancy does not allow": (
        m.gateway(PUBLIC, m.oidc("http://127.0.0.2:9000"), tenancy=[{"namespaces": ["default"], "everyone": True}]),
        ["127.0.0.4", "privateNetworks"],
    ),
    "a public URL with a path": (m.gateway(f"{PUBLIC}/gateway", m.oidc("http://127.0.0.2:9000")), ["publicUrl", "path"]),
    "a team that names no such virtual MCP": (m.team("finance", {"virtualMcp": "liner-read"}, groups=["x"]), ["liner-read"]),
    "a kind that does not exist": (m.resource("OriginMpc", "x", {}), ["OriginMpc", "OriginMcp"]),
    "an origin under the public URL": (m.origin("linear", f"{PUBLIC}/mcp/linear-read"), ["publicUrl"]),
    "a name in use": (
        m.virtual("linear-read", "linear", capabilities={"tools": {"overrides": [{"name": "a", "as": "c"}, {"name": "b", "as": "c"}]}}),
        ["'c'"],
    ),
}


@pytest.mark.parametrize("what", BROKEN)
def test_validate_names_what_is_wrong(sound, what):
    resource, words = BROKEN[what]
    sound.put(resource)
    result = run("validate", sound.path)
    said = result.stdout + result.stderr
    assert result.returncode == 1, said
    assert resource["metadata"]["name"] in said
    for word in words:
        assert word.strip("'") in said, said


def pem(key, form=PrivateFormat.PKCS8, encryption=None) -> str:
    return key.private_bytes(Encoding.PEM, form, encryption or NoEncryption()).decode()


def signing_with(key: str) -> tuple[dict, dict]:
    """An origin at whose authorization server the gateway shows itself by this key."""
    client = {"id": "gateway", "secretRef": {"name": "key", "key": "value"}, "tokenEndpointAuthMethod": "private_key_jwt"}
    return m.secret("key", hosts="auth.example.com", value=key), with_spec(SOUND[2], auth={"clientCredentials": {"client": client}})


@pytest.mark.parametrize("make", [
    lambda: pem(ec.generate_private_key(ec.SECP256R1())),
    lambda: pem(ec.generate_private_key(ec.SECP384R1())),
    lambda: pem(ed25519.Ed25519PrivateKey.generate()),
    lambda: pem(rsa.generate_private_key(65537, 2048)),
], ids=["P-256", "P-384", "Ed25519", "RSA of 2048 bits"])  # fmt: skip
def test_a_clients_key_that_can_sign_is_valid(sound, make):
    sound.put(*signing_with(make()))
    result = run("validate", sound.path)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize("make", [
    lambda: pem(rsa.generate_private_key(65537, 1024)),
    lambda: pem(ec.generate_private_key(ec.SECP256K1())),
    lambda: pem(ec.generate_private_key(ec.SECP256R1()), encryption=BestAvailableEncryption(b"a password")),
    lambda: pem(rsa.generate_private_key(65537, 2048), PrivateFormat.TraditionalOpenSSL),
], ids=["RSA of 1024 bits", "another curve", "encrypted", "PKCS 1"])  # fmt: skip
def test_a_clients_key_that_cannot_sign_is_refused_with_what_can(sound, make):
    sound.put(*signing_with(make()))
    result = run("validate", sound.path)
    assert result.returncode == 1
    assert "'value' in Secret default/key is not a usable private key" in result.stdout + result.stderr
    assert "openssl pkcs8 -topk8 -nocrypt" in result.stdout + result.stderr


def test_validate_reports_every_mistake_at_once(sound):
    sound.put(BROKEN["a field that is misspelt"][0], BROKEN["a team that names no such virtual MCP"][0])
    said = run("validate", sound.path)
    assert said.returncode == 1
    assert "displayNam" in said.stdout + said.stderr
    assert "liner-read" in said.stdout + said.stderr


def test_the_same_resource_in_two_files_is_an_error(sound):
    import yaml

    sound.write("again.yaml", yaml.safe_dump(SOUND[2]))
    result = run("validate", sound.path)
    assert result.returncode == 1
    assert "linear" in result.stdout + result.stderr


def test_what_is_not_yaml_is_named_with_its_file(sound):
    sound.write("broken.yaml", "kind: [OriginMcp\n")
    result = run("validate", sound.path)
    assert result.returncode == 1
    assert "broken.yaml" in result.stdout + result.stderr


def test_serve_does_not_start_on_a_broken_folder(sound, tmp_path):
    sound.put(BROKEN["a field that is misspelt"][0])
    result = run("serve", "--manifests", sound.path, "--state", tmp_path / "state", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0")
    assert result.returncode != 0
    assert "displayName" in result.stdout + result.stderr


@pytest.fixture(scope="module")
def world(folder):
    with World(folder, "open") as world:
        yield world


def test_an_edit_is_served_without_a_restart(world):
    caller = world.caller("open", world.browser("ana"))
    assert "add" in caller.names()
    world.manifests.put(m.virtual("open", "open", capabilities={"tools": {"include": ["echo"]}}))
    wait_until(lambda: caller.names() == ["echo"], what="the edit to be served")
    world.manifests.put(m.virtual("second", "open"))
    wait_until(lambda: world.gateway.admin("/debug/routes").text.count("second"), what="the new route")
    assert "add" in world.caller("second", world.browser("ana")).names()
    world.manifests.remove(m.virtual("second", "open"))
    gone = lambda: world.caller("second", token="none").send("tools/list").status == 404  # noqa: E731
    wait_until(gone, what="the route to go")
    world.manifests.put(m.virtual("open", "open"))
    wait_until(lambda: "add" in caller.names(), what="the first edit to be taken back")
    assert world.gateway.starts == 1


def test_a_broken_edit_keeps_the_last_good_table_and_prints_the_diagnosis(world):
    caller = world.caller("open", world.browser("ana"))
    names = caller.names()
    broken = with_spec(m.virtual("open", "open"), displayNam="x")
    cursor = world.gateway.cursor()
    assert "displayNam" not in world.gateway.log() + world.gateway.stdout.read_text()
    event = world.gateway.edited(lambda: world.manifests.put(broken))
    assert event["outcome"] != "success"
    said = lambda: world.gateway.log()[cursor.log :] + json.dumps(world.gateway.events(after=cursor))  # noqa: E731
    wait_until(lambda: "displayNam" in said().replace("displayName", "") and "displayName" in said(), what="the field and what it should be")
    assert caller.names() == names
    world.manifests.put(m.virtual("open", "open", capabilities={"tools": {"exclude": ["add"]}}))
    wait_until(lambda: "add" not in caller.names(), what="the mended folder to be served")
    world.manifests.put(m.virtual("open", "open"))


def test_suspending_a_virtual_mcp_ends_its_traffic_and_lifting_it_brings_it_back(world):
    caller = world.caller("open", world.browser("ana"))
    assert caller.call("echo", text="x").status == 200
    world.manifests.put(m.virtual("open", "open", suspend=True))
    wait_until(lambda: caller.call("echo", text="x").status >= 400, what="the suspension")
    before = len(world.origins["open"].messages())
    caller.call("echo", text="x")
    assert len(world.origins["open"].messages()) == before
    world.manifests.put(m.virtual("open", "open"))
    wait_until(lambda: caller.call("echo", text="x").status == 200, what="the end of the suspension")


@pytest.mark.requirement("advisory.host-origin", "advisory.metrics")
def test_the_private_listener_refuses_browsers_and_the_public_one_has_none_of_it(world):
    import httpx2

    admin = f"http://127.0.0.1:{world.gateway.admin_port}"
    assert httpx2.get(f"{admin}/healthz").status_code == 200
    assert "portcullis" in httpx2.get(f"{admin}/metrics").text
    assert httpx2.get(f"{admin}/debug/routes", headers={"Origin": "http://evil.example"}).status_code == 403
    for path in ("/healthz", "/readyz", "/metrics", "/debug/routes"):
        assert httpx2.get(world.gateway.public_url + path).status_code == 404
