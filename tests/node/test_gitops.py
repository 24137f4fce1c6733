"""The GitOps examples: taken by a real API server, judged by the health check as Argo CD would, quiet once applied."""

import charts
import pytest
import yaml
from charts import objects
from cluster import Cluster
from lupa import LuaRuntime

EXAMPLES = charts.REPOSITORY / "examples/gitops"


@pytest.fixture(scope="module")
def cluster(folder):
    with Cluster(folder) as cluster:
        cluster.install_crds()
        yield cluster


def test_given_the_gateway_when_applied_twice_then_the_second_time_changes_nothing(cluster):
    cluster.kubectl("apply", "--server-side", "-k", EXAMPLES / "gateway")
    assert cluster.kubectl("diff", "--server-side", "-k", EXAMPLES / "gateway").stdout == ""
    before = versions(cluster)
    cluster.kubectl("apply", "--server-side", "-k", EXAMPLES / "gateway")
    assert versions(cluster) == before


def versions(cluster) -> dict[str, str]:
    kinds = ("McpGateway", "OriginMcp", "VirtualMcp", "Team")
    found = {kind: [each["metadata"]["resourceVersion"] for each in cluster.api.list(kind, "mcp")] for kind in kinds}
    assert all(found.values())
    return found


@pytest.mark.parametrize("tool", ["argocd", "flux"])
def test_given_a_release_in_an_example_when_its_values_are_rendered_then_the_chart_takes_them(tool):
    releases = [each for each in objects((EXAMPLES / tool / "portcullis.yaml").read_text()) if each["metadata"]["name"] == "portcullis"]
    given = [values for values in map(values_of, releases) if values]
    assert len(given) == 1
    assert ("Ingress", "portcullis") in charts.rendered(given[0])


def values_of(release: dict) -> dict | None:
    spec = release["spec"]
    return spec["source"]["helm"]["valuesObject"] if release["kind"] == "Application" else spec.get("values")


@pytest.fixture(scope="module")
def health():
    """The check of the example, as Argo CD runs it: with the object as `obj`."""
    (config,) = objects((EXAMPLES / "argocd/health.yaml").read_text())
    customization = yaml.safe_load(config["data"]["resource.customizations"])
    script = customization["portcullis.dev/*"]["health.lua"]

    def check(obj: dict) -> tuple[str, str]:
        lua = LuaRuntime(unpack_returned_tuples=True)
        lua.globals().obj = lua.table_from(obj, recursive=True)
        answer = lua.execute(script)
        return answer.status, answer.message

    return check


def resource(*conditions: tuple[str, str], generation: int = 2, observed: int = 2, **spec) -> dict:
    described = [{"type": type, "status": status, "observedGeneration": observed, "reason": f"{type}Reason", "message": f"about {type}"} for type, status in conditions]
    return {"metadata": {"generation": generation}, "spec": spec, "status": {"conditions": described}}


@pytest.mark.parametrize(
    ("given", "status", "message"),
    [
        ({"metadata": {"generation": 1}, "spec": {}}, "Progressing", "has not processed"),
        (resource(("Ready", "True"), observed=1), "Progressing", "has not processed"),
        (resource(("Ready", "True"), ("Accepted", "True")), "Healthy", "about Ready"),
        (resource(("Accepted", "True"), ("Programmed", "False"), ("Ready", "False")), "Progressing", "about Ready"),
        (resource(("Accepted", "True"), ("Programmed", "Unknown"), ("Ready", "Unknown")), "Progressing", "about Ready"),
        (resource(("Accepted", "False"), ("Ready", "False")), "Degraded", "AcceptedReason: about Accepted"),
        (resource(("Accepted", "True"), ("ResolvedRefs", "False"), ("Ready", "False")), "Degraded", "ResolvedRefsReason: about ResolvedRefs"),
        (resource(("Ready", "True"), suspend=True), "Suspended", "calls are rejected"),
    ],
)
def test_given_conditions_when_argo_cd_judges_then_health_follows_them(health, given, status, message):
    judged = health(given)
    assert judged[0] == status
    assert message in judged[1]
