"""What is wrong with a resource is told in its conditions: which, why, and what to do. It stops nothing else."""

import time

import manifests as m
import pytest
from cluster import CRDS
from cluster_api import ApiError
from cluster_world import ClusterWorld
from peers import ORIGIN_HOST
from processes import wait_until

PRIVATE = "http://127.0.0.4:9002/mcp"
KEYED = {"header": {"name": "X-Api-Key", "valueRef": {"name": "bad-key", "key": "value"}}}


@pytest.fixture(scope="module")
def world(folder):
    tenancy = [
        {"namespaces": ["default"], "everyone": True, "privateNetworks": m.LOOPBACK},
        {"namespaces": ["tenant"], "everyone": True},
    ]
    with ClusterWorld(folder, "open", tenancy=tenancy) as world:
        for name in ("tenant", "stranger"):
            world.cluster.namespace(name)
        time.sleep(1)  # ages are whole seconds, and of one age the first by name has a slug: what the tests add is younger
        yield world


NOT_OPTED_IN = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "bad-key"}, "stringData": {"value": "x"}}

# what: (namespace, resources, which of them is to blame, condition that is False, its reason, words of its message)
BAD = {
    "a Secret that is missing": ("default", [m.origin("bad", PRIVATE, KEYED)], "ResolvedRefs", "SecretNotFound", ["bad-key"]),
    "a Secret that does not opt in": (
        "default",
        [NOT_OPTED_IN, m.origin("bad", PRIVATE, KEYED)],
        "ResolvedRefs",
        ("SecretNotOptedIn", "SecretNotFound"),  # the operator cannot see such a Secret, so that it cannot tell the two apart
        ["bad-key", "portcullis.dev/credential"],
    ),
    "a Secret without the key": (
        "default",
        [m.secret("bad-key", hosts=ORIGIN_HOST, other="x"), m.origin("bad", PRIVATE, KEYED)],
        "ResolvedRefs",
        "SecretKeyNotFound",
        ["value", "bad-key"],
    ),
    "a host that the Secret does not name": (
        "default",
        [m.secret("bad-key", hosts="mcp.example.com", value="x"), m.origin("bad", PRIVATE, KEYED)],
        "ResolvedRefs",
        "HostNotAllowed",
        [ORIGIN_HOST, "portcullis.dev/allowed-hosts"],
    ),
    "an origin that is missing": ("default", [m.virtual("bad", "liner")], "ResolvedRefs", "OriginNotFound", ["liner"]),
    "a slug that is taken": ("default", [m.virtual("bad", "open", slug="open")], "Accepted", "SlugTaken", ["open"]),
    "an origin of a namespace that does not allow it": (
        "tenant",
        [{**m.virtual("bad", "open"), "spec": {"slug": "borrowed", "origins": [{"name": "open", "namespace": "default"}], "access": "Everyone"}}],
        "ResolvedRefs",
        "OriginNotAllowed",
        ["default/open", "allowedNamespaces"],
    ),
    "a private address without tenancy": ("tenant", [m.origin("bad", PRIVATE)], "Accepted", "PrivateAddress", [ORIGIN_HOST, "privateNetworks"]),
    "a link-local address": ("default", [m.origin("bad", "http://169.254.169.254/mcp")], "Accepted", "AddressNeverAllowed", ["169.254.169.254"]),
    "a team that names no such virtual MCP": (
        "default",
        [m.team("bad", {"virtualMcp": "liner"}, groups=["x"])],
        "ResolvedRefs",
        "VirtualMcpNotFound",
        ["liner"],
    ),
    "an identity provider that is missing": (
        "default",
        [m.virtual("bad", "open", identityProvider="elsewhere")],
        ("Accepted", "ResolvedRefs"),
        "IdentityProviderNotFound",
        ["elsewhere", "company"],
    ),
    "a second gateway": (
        "default",
        [{**m.gateway("https://mcp.example.com", m.oidc("https://idp.example.com")), "metadata": {"name": "bad"}}],
        "Accepted",
        "NotSelected",
        ["default/gateway", "gateway.name"],
    ),
}


def some(what) -> tuple:
    return what if isinstance(what, tuple) else (what,)


def blamed(world, kind: str, name: str, namespace: str, types, reasons) -> dict:
    def there():
        conditions = world.api.conditions(kind, name, namespace)
        found = [conditions[type] for type in some(types) if type in conditions]
        return next((each for each in found if each["status"] == "False" and each["reason"] in some(reasons)), None)

    try:
        return wait_until(there, what=f"{kind} {name}: {types} to be False with {reasons}")
    except TimeoutError as late:
        raise TimeoutError(f"{late}; it has {world.api.conditions(kind, name, namespace)}") from None


@pytest.mark.parametrize("what", BAD)
def test_given_a_bad_resource_when_applied_then_its_condition_says_what_and_how_to_mend_it(world, what):
    namespace, resources, types, reasons, words = BAD[what]
    world.apply(*resources, namespace=namespace)
    last = resources[-1]
    kind, name = last["kind"], last["metadata"]["name"]
    try:
        condition = blamed(world, kind, name, namespace, types, reasons)
        for word in words:
            assert word in condition["message"], condition
        conditions = world.api.conditions(kind, name, namespace)
        assert conditions["Ready"]["status"] == "False"
        assert conditions["Ready"]["reason"] == condition["reason"], "the summary names the cause"
        assert conditions.get("Programmed", {"status": "False"})["status"] != "True"
        generation = world.api.get(kind, name, namespace)["metadata"]["generation"]
        assert all(each["observedGeneration"] == generation for each in conditions.values())
        assert "bad" not in world.replicas[0].routes()
        assert world.replicas[0].routes()["open"]["name"] == "default/open"
    finally:
        world.delete(*resources, namespace=namespace)


def test_given_a_user_error_when_time_passes_then_it_is_not_retried_and_an_event_tells_of_it_once(world):
    bad = m.virtual("bad", "liner")
    world.apply(bad)
    blamed(world, "VirtualMcp", "bad", "default", "ResolvedRefs", "OriginNotFound")

    def events():
        return [each for each in world.api.list("Event", "default") if each["involvedObject"]["name"] == "bad"]

    wait_until(events, what="an event")
    version = world.api.get("VirtualMcp", "bad")["metadata"]["resourceVersion"]
    told = len(events())
    time.sleep(5)
    assert world.api.get("VirtualMcp", "bad")["metadata"]["resourceVersion"] == version
    assert len(events()) == told
    assert any("liner" in each["message"] for each in events())
    world.delete(bad)


def test_given_a_missing_origin_when_it_comes_then_the_virtual_mcp_is_served_without_another_edit(world):
    world.apply(m.virtual("early", "late"))
    blamed(world, "VirtualMcp", "early", "default", "ResolvedRefs", "OriginNotFound")
    world.apply(m.origin("late", world.origins["open"].url))
    world.served("early")
    world.wait_condition("VirtualMcp", "early", "Ready", "True")
    world.delete(m.virtual("early", "late"), m.origin("late", ""))


def test_given_an_unknown_tool_in_a_curation_when_served_then_that_is_a_warning(world):
    world.apply(m.virtual("warned", "open", capabilities={"tools": {"include": ["echo", "ekko"]}}))
    world.wait_condition("VirtualMcp", "warned", "Ready", "True")

    def warned():
        conditions = world.api.conditions("VirtualMcp", "warned").values()
        return any("ekko" in each["message"] for each in conditions)

    wait_until(warned, seconds=15, what="a condition to name the tool that the origin does not have")
    world.served("warned")
    world.delete(m.virtual("warned", "open"))


def test_given_an_origin_under_the_public_url_when_applied_then_it_is_not_accepted(world):
    world.apply(m.origin("itself", world.url("open")))
    condition = blamed(world, "OriginMcp", "itself", "default", "Accepted", "GatewayItself")
    assert "publicUrl" in condition["message"]
    world.delete(m.origin("itself", ""))


def test_given_two_auth_members_when_applied_then_the_api_server_refuses(world):
    with pytest.raises(ApiError, match="exactly one of none, header, queryParameter, userOAuth"):
        world.apply(m.origin("both", PRIVATE, {"none": {}, "userOAuth": {}}))


def test_given_a_development_sign_in_when_the_public_url_is_public_then_the_gateway_is_not_accepted_and_the_last_good_one_stays(world):
    people = m.development({"email": "ana@example.com", "name": "Ana", "groups": []})
    before = world.api.get("McpGateway", "gateway")["spec"]
    try:
        world.api.merge("McpGateway", "gateway", {"spec": {"publicUrl": "https://mcp.example.com", "identityProviders": [people]}})
        condition = blamed(world, "McpGateway", "gateway", "default", "Accepted", "DevelopmentInPublic")
        assert "development sign-in" in condition["message"]
        assert "open" in world.replicas[0].routes()
        assert world.caller("open", world.browser("ana")).call("echo", text="x").status == 200
    finally:
        world.api.merge("McpGateway", "gateway", {"spec": before})
        world.wait_condition("McpGateway", "gateway", "Ready", "True")


def test_given_a_resource_that_cannot_be_decoded_when_it_is_there_then_it_stops_nothing_else(world):
    """Written past the schema, as a newer version's resources may be: the definition is loosened for a moment."""
    api = world.api
    definition = api.get("CustomResourceDefinition", "virtualmcps.portcullis.dev")
    loose = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version = definition["spec"]["versions"][0] | {"schema": {"openAPIV3Schema": loose}}
    api.merge("CustomResourceDefinition", "virtualmcps.portcullis.dev", {"spec": {"versions": [version]}})
    strange = {**m.virtual("strange", "open"), "spec": {"origins": "not a list", "access": 7}}

    def created():
        try:
            return api.create(strange)
        except ApiError:
            return None

    wait_until(created, what="the loosened definition to be served")
    try:
        world.apply(m.virtual("beside", "open"))
        world.served("beside")
        condition = blamed(world, "VirtualMcp", "strange", "default", "Accepted", "Undecodable")
        assert "spec.access" in condition["message"] and "invalid type: integer `7`" in condition["message"], condition["message"]
        assert "install the CRDs of this operator's version" in condition["message"]
        world.operators[0].kill()
        world.operators[0].launch()
        world.apply(m.virtual("after", "open"))
        world.served("after", seconds=40)
    finally:
        world.delete(strange, m.virtual("beside", "open"), m.virtual("after", "open"))
        world.cluster.kubectl("apply", "--server-side", "--force-conflicts", "-f", CRDS)
