"""The definitions at a real API server: accepted, applied again without a change, and their rules refuse what cannot be meant."""

import manifests as m
import pytest
from cluster import CRDS, REPOSITORY, Cluster
from cluster_api import ApiError

PUBLIC = "https://mcp.example.com"
SOUND = {
    "gateway": m.gateway(PUBLIC, m.oidc("https://idp.example.com")),
    "origin": m.origin("linear", "https://mcp.linear.app/mcp", m.USER_OAUTH),
    "virtual": m.virtual("linear-read", "linear", access="Teams"),
    "team": m.team("finance", {"virtualMcp": "linear-read"}, groups=["finance"]),
}


@pytest.fixture(scope="module")
def cluster(folder):
    with Cluster(folder) as cluster:
        cluster.install_crds()
        cluster.namespace("default")
        yield cluster


def changed(what: str, **spec) -> dict:
    resource = SOUND[what]
    return resource | {"spec": resource["spec"] | spec}


def test_given_the_definitions_when_applied_again_then_nothing_changes(cluster):
    before = [each["metadata"]["resourceVersion"] for each in cluster.api.list("CustomResourceDefinition", None)]
    assert cluster.kubectl("diff", "--server-side", "-f", CRDS, check=False).stdout == ""
    cluster.kubectl("apply", "--server-side", "-f", CRDS)
    assert [each["metadata"]["resourceVersion"] for each in cluster.api.list("CustomResourceDefinition", None)] == before


@pytest.mark.parametrize("what", SOUND)
def test_given_a_sound_resource_when_created_then_the_schema_takes_it(cluster, what):
    kept = cluster.api.apply(SOUND[what])
    assert kept["spec"] == SOUND[what]["spec"], "the API server put something in or took something out"


def test_given_the_quickstart_when_applied_then_every_document_of_it_is_taken_and_diff_is_quiet(cluster):
    folder = REPOSITORY / "examples/quickstart"
    cluster.namespace("quickstart")
    cluster.kubectl("apply", "--namespace", "quickstart", "--server-side", "--validate=strict", "-f", folder)
    diff = cluster.kubectl("diff", "--namespace", "quickstart", "--server-side", "-f", folder, check=False)
    assert (diff.returncode, diff.stdout) == (0, ""), diff.stdout + diff.stderr


REFUSED = {
    "two kinds of auth": (changed("origin", auth={"none": {}, "userOAuth": {}}), "exactly one of none, header, queryParameter, userOAuth"),
    "no kind of auth": (changed("origin", auth={}), "exactly one of none, header, queryParameter, userOAuth"),
    "a header of the protocol as a credential": (
        changed("origin", auth={"header": {"name": "Mcp-Session-Id", "valueRef": {"name": "a", "key": "b"}}}),
        "is reserved for HTTP or MCP",
    ),
    "two registrations": (
        changed("origin", auth={"userOAuth": {"registration": {"auto": {}, "client": {"id": "x"}}}}),
        "exactly one of auto, client",
    ),
    "two kinds of identity provider": (
        m.gateway(PUBLIC, m.oidc("https://idp.example.com", name="both") | {"development": {"users": [{"email": "a@b.c", "name": "A"}]}}),
        "exactly one of oidc, oauth, development",
    ),
    "two identity providers of one name": (m.gateway(PUBLIC, m.oidc("https://a.example"), m.oidc("https://b.example")), "duplicate entries for key"),
    "a public URL with a path": (changed("gateway", publicUrl=f"{PUBLIC}/gateway"), "must be a scheme and a host"),
    "a public URL in the clear": (changed("gateway", publicUrl="http://mcp.example.com"), "plain http is allowed only on loopback"),
    "no origin": (changed("virtual", origins=[]), "origins"),
    "two origins": (changed("virtual", origins=[{"name": "a"}, {"name": "b"}]), "origins"),
    "an unknown word for access": (changed("virtual", access="Anybody"), "access"),
    "a duration that is none": (changed("gateway", tokens={"access": "15 bananas"}), "access"),
    "a field that is misspelt": (changed("origin", displayNam="Linear"), "displayNam"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_given_what_cannot_be_meant_when_applied_then_the_api_server_refuses_and_says_why(cluster, what):
    resource, words = REFUSED[what]
    resource = resource | {"metadata": {"name": "refused"}}
    with pytest.raises(ApiError) as refused:
        cluster.api.apply(resource)
    assert words in refused.value.message
    assert cluster.api.find(resource["kind"], "refused") is None


def test_given_a_gateway_when_its_provider_is_replaced_under_the_same_name_then_the_edit_is_refused(cluster):
    cluster.api.apply(SOUND["gateway"])
    with pytest.raises(ApiError) as refused:
        cluster.api.apply(m.gateway(PUBLIC, m.oidc("https://another.example.com")))
    assert "the issuer of an identity provider cannot change" in refused.value.message


def test_given_many_tools_when_applied_then_the_rules_stay_within_their_budget(cluster):
    names = [f"tool_{number}" for number in range(512)]
    tools = {
        "include": names,
        "exclude": names,
        "overrides": [{"name": name, "as": f"{name}_of_ours", "annotations": {"readOnlyHint": True}} for name in names],
    }
    cluster.api.apply(changed("virtual", capabilities={"tools": tools}) | {"metadata": {"name": "many"}})
    cluster.api.delete("VirtualMcp", "many")


def test_given_the_kinds_when_listed_by_category_and_short_name_then_kubectl_knows_them(cluster):
    for resource in SOUND.values():
        cluster.api.apply(resource)
    shown = cluster.kubectl("get", "mcp", "--no-headers").stdout
    assert all(f"{name}" in shown for name in ("gateway", "linear", "linear-read", "finance"))
    for short, columns in {"mcpgw": "URL", "omcp": "READY", "vmcp": "URL", "mcpteam": "READY"}.items():
        assert columns in cluster.kubectl("get", short).stdout.splitlines()[0].upper()


def test_given_a_kind_when_explained_then_every_field_of_its_spec_is_described(cluster):
    for kind in ("mcpgateway", "originmcp", "virtualmcp", "team"):
        for line in cluster.kubectl("explain", f"{kind}.spec").stdout.splitlines():
            assert "<no description>" not in line, f"{kind}: {line}"
