"""Who may only create resources in a namespace of their own gets at nothing of anybody else's."""

import base64
import json
import time

import manifests as m
import pytest
from cluster_api import ApiError
from cluster_parts import NAMESPACE, PUBLICATION
from cluster_world import ClusterWorld
from oauth import Denied
from peers import Origin
from processes import wait_until
from world import KEY

GRACE = 2.5  # seconds after which what would have been served were served


@pytest.fixture(scope="module")
def world(folder):
    tenancy = [
        {"namespaces": ["default"], "everyone": True, "privateNetworks": m.LOOPBACK},
        {"namespaces": ["mallory", "alice"], "everyone": True, "privateNetworks": m.LOOPBACK},
    ]
    with ClusterWorld(folder, "open", "keyed", tenancy=tenancy) as world:
        for name in ("mallory", "alice", "elsewhere"):
            world.cluster.namespace(name)
        rights = {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "Role",
            "metadata": {"name": "author"},
            "rules": [{"apiGroups": ["portcullis.dev"], "resources": ["originmcps", "virtualmcps", "teams", "mcpgateways"], "verbs": ["*"]}],
        }
        binding = {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "RoleBinding",
            "metadata": {"name": "author"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "author"},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "mallory"}],
        }
        for namespace in ("mallory", "elsewhere"):
            world.apply(rights, binding, namespace=namespace)
        yield world


@pytest.fixture(scope="module")
def mallory(world):
    return world.cluster.user("mallory")


@pytest.fixture(scope="module")
def trap(world):
    """An origin of Mallory's, to which they would have somebody else's credential sent."""
    with Origin(world.folder, "trap") as origin:
        yield origin


def not_served(world, slug: str) -> None:
    deadline = time.monotonic() + GRACE
    while time.monotonic() < deadline:
        assert slug not in world.replicas[0].routes()
        time.sleep(0.1)


def accepted(world, kind: str, name: str, namespace: str, type: str, reasons: set[str]) -> dict:
    def told():
        condition = world.api.conditions(kind, name, namespace).get(type)
        return condition if condition and condition["status"] == "False" else None

    condition = wait_until(told, what=f"{kind} {name} to be {type}=False")
    assert condition["reason"] in reasons, condition
    return condition


def test_given_only_rights_to_create_resources_then_the_api_server_keeps_the_rest_from_them(mallory):
    for kind, namespace in (("Secret", "mallory"), ("Secret", "default"), ("ConfigMap", PUBLICATION), ("VirtualMcp", "default")):
        with pytest.raises(ApiError) as refused:
            mallory.list(kind, namespace)
        assert refused.value.code == 403
    with pytest.raises(ApiError) as refused:
        mallory.create(m.virtual("x", "open"), "default")
    assert refused.value.code == 403


def test_given_a_secret_of_another_namespace_when_named_then_it_is_not_found_and_goes_nowhere(world, mallory, trap):
    auth = {"header": {"name": "X-Api-Key", "valueRef": {"name": "key", "key": "value"}}}
    mallory.apply(m.origin("thief", trap.url, auth), "mallory")
    mallory.apply(m.virtual("thief", "thief"), "mallory")
    accepted(world, "OriginMcp", "thief", "mallory", "ResolvedRefs", {"SecretNotFound"})
    not_served(world, "thief")
    # The schema offers no way to name another namespace either.
    auth["header"]["valueRef"]["namespace"] = "default"
    with pytest.raises(ApiError):
        mallory.apply(m.origin("thief-by-field", trap.url, auth), "mallory")
    assert KEY not in trap.received()


def test_given_a_secret_of_their_own_namespace_when_its_hosts_are_others_then_the_operator_sends_it_nowhere(world, mallory, trap):
    """The administrator put a Secret there for one host; who can create resources would have it sent to another."""
    world.apply(m.secret("guarded", hosts="mcp.example.com", value="not for the trap"), namespace="mallory")
    auth = {"header": {"name": "X-Api-Key", "valueRef": {"name": "guarded", "key": "value"}}}
    mallory.apply(m.origin("redirect", trap.url, auth), "mallory")
    accepted(world, "OriginMcp", "redirect", "mallory", "ResolvedRefs", {"HostNotAllowed"})
    time.sleep(GRACE)
    assert "not for the trap" not in trap.received()


def test_given_an_origin_of_another_namespace_when_it_does_not_consent_then_it_is_not_used_and_when_it_does_it_is(world, mallory):
    spec = {"origins": [{"name": "keyed", "namespace": "default"}], "access": "Everyone"}
    mallory.apply(m.resource("VirtualMcp", "borrowed", spec), "mallory")
    accepted(world, "VirtualMcp", "borrowed", "mallory", "ResolvedRefs", {"OriginNotAllowed"})
    not_served(world, "borrowed")
    origin = next(each for each in world.resources if each["kind"] == "OriginMcp" and each["metadata"]["name"] == "keyed")
    world.apply(origin | {"spec": origin["spec"] | {"allowedNamespaces": ["mallory"]}})
    world.served("borrowed")
    world.apply(origin)
    world.gone("borrowed")


def test_given_a_namespace_without_tenancy_when_a_route_is_made_there_then_it_is_not_published(world, mallory):
    mallory.apply(m.origin("nobody", world.origins["open"].url), "elsewhere")
    mallory.apply(m.virtual("nobody", "nobody"), "elsewhere")
    not_served(world, "nobody")
    assert world.api.conditions("VirtualMcp", "nobody", "elsewhere") == {}, "no status where the gateway admits nobody"


def test_given_a_gateway_of_their_own_when_applied_then_it_has_no_effect_but_a_report_to_the_owner(world, mallory):
    mallory.apply(m.gateway("https://mallory.example.com", m.oidc("https://mallory.example.com")), "mallory")
    told = accepted(world, "McpGateway", "gateway", "default", "Accepted", {"AdmittedTwice"})
    assert "'default'" in told["message"] and "McpGateway mallory/gateway" in told["message"], told
    assert world.api.conditions("McpGateway", "gateway", "mallory") == {}, "its own operator reports on it"
    assert world.caller("open", world.browser("ana")).call("echo", text="x").status == 200
    mallory.delete("McpGateway", "gateway", "mallory")
    world.wait_condition("McpGateway", "gateway", "Ready", "True")


def test_given_a_slug_in_use_when_taken_again_then_the_older_keeps_it(world, mallory):
    mallory.apply(m.origin("mine", world.origins["open"].url), "mallory")
    mallory.apply(m.virtual("usurper", "mine", slug="open"), "mallory")
    accepted(world, "VirtualMcp", "usurper", "mallory", "Accepted", {"SlugTaken"})
    assert world.replicas[0].routes()["open"]["name"] == "default/open"
    mallory.delete("VirtualMcp", "usurper", "mallory")


def test_given_a_team_elsewhere_when_it_names_a_route_of_this_namespace_then_it_gives_nobody_access(world, mallory):
    world.apply(m.virtual("guarded", "open", access="Teams"))
    world.served("guarded")
    mallory.apply(m.team("everybody", {"virtualMcp": "guarded"}, groups=["finance", "engineering"]), "mallory")
    accepted(world, "Team", "everybody", "mallory", "ResolvedRefs", {"VirtualMcpNotFound"})
    with pytest.raises(Denied):
        world.oauth("guarded").code(world.browser("ana"))


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]"])
def test_given_the_api_server_as_an_origin_then_neither_operator_nor_replica_calls_it_whatever_tenancy_allows(world, mallory, host):
    """Both have rights there that Mallory has not."""
    name = "api-server-" + {"127.0.0.1": "address", "localhost": "name"}.get(host, "mapped")
    mallory.apply(m.origin(name, f"https://{host}:{world.cluster.port}/api"), "mallory")
    mallory.apply(m.virtual(name, name), "mallory")
    told = accepted(world, "OriginMcp", name, "mallory", "Reachable", {"Unreachable"})
    assert "no permitted address" in told["message"], told
    world.served(name)
    answer = world.caller(name, world.browser("ana")).call("echo", text="x")
    assert answer.error["data"]["reason"] == "upstream_address_refused"


# A writer of ConfigMaps.


def copied(found: dict, name: str, slug: str | None = None, **data: str) -> dict:
    """The same document as another object: with its labels, its data changed as given."""
    document = json.loads(found["data"]["document"])
    if slug:
        document |= {"slug": slug, "uid": "00000000-0000-4000-8000-000000000000"}
    metadata = {"name": name, "labels": found["metadata"]["labels"], "annotations": found["metadata"].get("annotations", {})}
    changed = {"document": json.dumps(document)} if slug else {}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": found["data"] | changed | data}


@pytest.mark.parametrize("namespace", ["mallory", NAMESPACE, "default"])
def test_given_a_document_in_any_other_namespace_then_it_injects_nothing(world, namespace):
    generation = world.replicas[0].admin("/debug/routes").json()["generation"]
    world.apply(copied(world.published(), "route-injected", slug="injected"), copied(world.published(), "route-copied"), namespace=namespace)
    not_served(world, "injected")
    assert world.replicas[0].admin("/debug/routes").json()["generation"] == generation
    for name in ("route-injected", "route-copied"):
        world.api.delete("ConfigMap", name, namespace)


FORGERIES = {
    "no MAC": lambda found: copied(found, "route-forged", slug="forged", mac=""),
    "the MAC of another document": lambda found: copied(found, "route-forged", slug="forged"),
    "a sound document under another name": lambda found: copied(found, "route-forged"),
    "no hash": lambda found: copied(found, "route-forged", slug="forged", hash=""),
    "no document": lambda found: copied(found, "route-forged", document=""),
}


@pytest.mark.parametrize("what", FORGERIES)
def test_given_a_forged_document_in_the_publication_namespace_itself_then_it_is_refused_and_reported(world, what):
    """Nobody but the operator may write there; and if somebody can, they still have no key."""
    operator, replica = world.operators[0], world.replicas[0]
    operator.stop()  # else it would prune the forgery
    try:
        world.apply(FORGERIES[what](world.published()), namespace=PUBLICATION)
        wait_until(
            lambda: "route-forged" in [each["name"] for each in replica.report().get("rejected", [])], seconds=15, what="the replica to report it"
        )
        assert "forged" not in replica.routes()
        assert world.caller("open", world.browser("ana")).call("echo", text="x").status == 200
    finally:
        operator.launch()
        operator.wait()
    wait_until(lambda: world.api.find("ConfigMap", "route-forged", PUBLICATION) is None, seconds=40, what="the operator to prune it")


def test_given_the_published_objects_then_no_credential_lies_in_them_in_the_clear(world):
    text = json.dumps(world.api.list("ConfigMap", PUBLICATION))
    for secret in world.api.list("Secret", PUBLICATION):
        text += "".join(base64.b64decode(each).decode() for each in secret["data"].values())
    assert KEY not in text
    assert world.idp.secret not in text


# A name that is used again.


def test_given_a_slug_deleted_then_another_tenant_cannot_take_it_and_a_new_resource_honours_no_old_token(world, mallory):
    world.apply(m.origin("mine", world.origins["open"].url), m.virtual("prize", "mine"), namespace="alice")
    world.served("prize")
    browser = world.browser("ana")
    oauth = world.oauth("prize")
    grant = oauth.sign_in(browser)
    old = world.caller("prize", token=grant.access_token)
    assert old.call("echo", text="x").status == 200
    world.delete(m.virtual("prize", "mine"), namespace="alice")
    world.gone("prize")
    mallory.apply(m.origin("mine", world.origins["open"].url), "mallory")
    mallory.apply(m.virtual("prize", "mine"), "mallory")
    told = accepted(world, "VirtualMcp", "prize", "mallory", "Accepted", {"SlugReserved"})
    assert "24 hours" in told["message"], told
    not_served(world, "prize")
    mallory.delete("VirtualMcp", "prize", "mallory")
    # The namespace that had it may use it again; the new resource inherits nothing.
    world.apply(m.virtual("prize", "mine"), namespace="alice")
    world.served("prize")
    assert old.call("echo", text="x").status == 401
    assert oauth.refresh(grant.refresh_token).status_code == 400
    assert world.caller("prize", browser).call("echo", text="x").status == 200
