"""The charts without a node: rendered by Helm, compared, and held against a real API server."""

import os
import subprocess
from pathlib import Path

import charts
import pytest
import yaml
from charts import EVERYTHING, NAMESPACE, POSTGRESQL, PUBLICATION, Refused, helm, objects, rendered, template
from cluster import Cluster

SNAPSHOTS = Path(__file__).parent / "snapshots"
SETS = {"sqlite": {}, "postgresql": POSTGRESQL, "everything": EVERYTHING}
# What only an add-on's definitions could check.
FOREIGN = {"HTTPRoute", "PrometheusRule", "ServiceMonitor"}
OPERATOR, DATA_PLANE = ("Deployment", "portcullis-operator"), ("Deployment", "portcullis-data-plane")


@pytest.fixture(scope="module")
def cluster(folder):
    with Cluster(folder) as cluster:
        cluster.namespace(NAMESPACE, **{"pod-security.kubernetes.io/enforce": "restricted"})
        cluster.namespace(PUBLICATION)
        yield cluster


@pytest.mark.parametrize("chart", [charts.CHART, charts.CRDS], ids=lambda chart: chart.name)
def test_given_a_chart_when_linted_then_helm_finds_nothing(chart):
    for values in SETS.values() if chart == charts.CHART else [{}]:
        written = helm("lint", "--strict", chart, values=values)
        assert "0 chart(s) failed" in written
        assert "[WARNING]" not in written and "[ERROR]" not in written, written


def test_given_the_definitions_when_they_changed_then_the_chart_changed_with_them():
    done = subprocess.run([charts.CRDS / "update", "--check"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_given_the_chart_of_definitions_when_rendered_then_they_are_the_manifests_and_kept():
    manifests = {each["metadata"]["name"]: each for path in (charts.REPOSITORY / "crds/manifests").iterdir() for each in objects(path.read_text())}
    found = objects(template(charts.CRDS, {"labels": {"example.com/owner": "platform"}, "annotations": {"example.com/note": "x"}}))
    assert {each["metadata"]["name"] for each in found} == set(manifests)
    for each in found:
        metadata = each.pop("metadata")
        assert metadata["annotations"] == {"helm.sh/resource-policy": "keep", "example.com/note": "x"}
        assert metadata["labels"]["example.com/owner"] == "platform"
        expected = dict(manifests[metadata["name"]])
        expected.pop("metadata")
        assert each == expected


@pytest.mark.parametrize("name", SETS)
def test_given_values_when_rendered_then_the_manifests_are_these(name):
    """UPDATE_SNAPSHOTS=1 writes them anew; read the difference before you commit it."""
    written = template(values=SETS[name])
    file = SNAPSHOTS / f"{name}.yaml"
    if os.environ.get("UPDATE_SNAPSHOTS"):
        file.write_text(written)
    assert written == file.read_text()


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"dataPlane": {"replicas": 2}}, "/dataPlane/replicas"),
        ({"dataPlane": {"replicas": 0}}, "/dataPlane/replicas"),
        ({"dataPlane": {"autoscaling": {"enabled": True}}}, "/dataPlane/autoscaling/enabled"),
        ({"database": {"sqlite": {"accessModes": ["ReadWriteMany"]}}}, "accessModes"),
        ({"database": {"kind": "postgresql"}}, "existingSecret"),
        ({"database": {"kind": "mysql"}}, "/database/kind"),
        ({"publication": {"namespace": NAMESPACE}}, "publication.namespace must differ from the release's namespace"),
        ({"publication": {"namespace": "Not A Name"}}, "/publication/namespace"),
        ({"replicas": 3}, "additional properties 'replicas' not allowed"),
        ({"dataplane": {"replicas": 1}}, "additional properties 'dataplane' not allowed"),
        ({"ingress": {"enabled": True}}, "ingress.host"),
        ({"egressProxy": {"url": "https://proxy.example.com"}}, "/egressProxy/url"),
        ({"egressProxy": {"url": "http://proxy:3128", "existingSecret": {"name": "proxy"}}}, "set only one of them"),
        ({"keys": {"encryption": "aes"}}, "/keys/encryption"),
        ({"keys": {"encryption": "transit"}}, "keys.transit.address"),
        ({"keys": {"encryption": "transit", "transit": {"address": "https://v.example.com"}}}, "keys.transit.kubernetes.role or"),
        ({"keys": {"encryption": "transit", "transit": {"address": "https://me:secret@v.example.com"}}}, "/keys/transit/address"),
        ({"httpRoute": {"enabled": True}}, "httpRoute.parentRefs"),
        ({"image": {"digest": "sha256:short"}}, "/image/digest"),
        ({**POSTGRESQL, "dataPlane": {"autoscaling": {"enabled": True, "minReplicas": 9, "maxReplicas": 3}}}, "minReplicas is greater"),
    ],
)
def test_given_values_that_cannot_work_when_rendered_then_helm_says_which(values, says):
    with pytest.raises(Refused) as refused:
        template(values=values)
    assert says in str(refused.value)


def test_given_sqlite_when_rendered_then_one_replica_holds_the_kept_volume_and_is_never_two():
    found = rendered()
    spec = found[DATA_PLANE]["spec"]
    assert spec["replicas"] == 1
    assert spec["strategy"] == {"type": "Recreate"}
    claim = found["PersistentVolumeClaim", "portcullis-database"]
    assert claim["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"
    assert {"claimName": "portcullis-database"} in [each.get("persistentVolumeClaim") for each in spec["template"]["spec"]["volumes"]]
    assert ("PodDisruptionBudget", "portcullis-data-plane") not in found
    assert ("HorizontalPodAutoscaler", "portcullis-data-plane") not in found


def test_given_postgresql_when_rendered_then_three_replicas_roll_without_a_gap_and_the_url_comes_from_the_secret():
    found = rendered(POSTGRESQL)
    spec = found[DATA_PLANE]["spec"]
    assert spec["replicas"] == 3
    assert spec["strategy"]["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": 1}
    assert found[OPERATOR]["spec"]["replicas"] == 2
    (container,) = spec["template"]["spec"]["containers"]
    (file,) = [each["value"] for each in container["env"] if each["name"] == "PORTCULLIS_DATABASE_FILE"]
    (mount,) = [each for each in container["volumeMounts"] if each["name"] == "database"]
    assert file == f"{mount['mountPath']}/url"
    (volume,) = [each for each in spec["template"]["spec"]["volumes"] if each["name"] == "database"]
    assert volume["secret"] == {"secretName": "portcullis-database", "items": [{"key": "url", "path": "url"}]}
    secret = {"name": "portcullis-database", "caKey": "root.pem"}
    spec = rendered({"database": {"kind": "postgresql", "postgresql": {"existingSecret": secret}}})[DATA_PLANE]["spec"]
    (volume,) = [each for each in spec["template"]["spec"]["volumes"] if each["name"] == "database"]
    assert volume["secret"]["items"] == [{"key": "url", "path": "url"}, {"key": "root.pem", "path": "ca.crt"}]
    assert not [kind for kind, _ in found if kind in ("PersistentVolumeClaim", "Secret")]


@pytest.mark.parametrize(
    ("login", "argument", "mounted"),
    [
        ({"kubernetes": {"role": "gateway"}}, "--transit-service-account-token=/etc/portcullis/transit-account/token", {"transit-ca", "transit-account"}),
        ({"kubernetes": {"role": "gateway", "audience": ""}}, "--transit-kubernetes-role=gateway", {"transit-ca"}),
        ({"tokenSecret": {"name": "token"}}, "--transit-token-file=/etc/portcullis/transit-token/token", {"transit-ca", "transit-token"}),
    ],
)
def test_given_a_transit_service_when_rendered_then_both_programs_are_told_the_same_and_can_read_what_it_takes(login, argument, mounted):
    transit = {"address": "https://bao.example.com:8200", "caConfigMap": {"name": "bao-ca"}, **login}
    found = rendered({"keys": {"encryption": "transit", "transit": transit}})
    told = []
    for deployment in (OPERATOR, DATA_PLANE):
        spec = found[deployment]["spec"]["template"]["spec"]
        (container,) = spec["containers"]
        told.append([each for each in container["args"] if each.startswith(("--transit", "--keys"))])
        mounts = {each["name"]: each["mountPath"] for each in container["volumeMounts"] if each["name"].startswith("transit")}
        assert set(mounts) == mounted
        assert mounted <= {each["name"] for each in spec["volumes"]}
        for each in told[-1]:
            _, _, path = each.partition("=/etc/portcullis/")
            assert not path or path.split("/")[0] in mounts
    assert told[0] == told[1]
    assert {"--keys-encryption=transit", "--transit-address=https://bao.example.com:8200", argument} <= set(told[0])


def test_given_an_autoscaler_when_rendered_then_the_deployment_names_no_replicas_for_it_to_fight_with():
    assert "replicas" not in rendered(EVERYTHING)[DATA_PLANE]["spec"]


def test_given_one_namespace_to_watch_when_rendered_then_the_operator_has_no_right_in_the_whole_cluster():
    found = objects(template(values={"operator": {"watchNamespace": "mcp"}, "dataPlane": {"serviceAccountTokens": False}}))
    assert not [each["metadata"]["name"] for each in found if each["kind"].startswith("ClusterRole")]
    (role,) = [each for each in found if each["kind"] == "Role" and each["metadata"]["namespace"] == "mcp"]
    (everywhere,) = [each for each in objects(template()) if each["kind"] == "ClusterRole" and "operator" in each["metadata"]["name"]]
    # Without the right to list namespaces, which are no objects of a namespace: `namespaceSelector` is not available.
    assert role["rules"] == [each for each in everywhere["rules"] if each["resources"] != ["namespaces"]]
    (binding,) = [each for each in found if each["kind"] == "RoleBinding" and each["metadata"]["namespace"] == "mcp"]
    assert binding["roleRef"]["name"] == role["metadata"]["name"]
    (operator,) = [each for each in found if each["kind"] == "Deployment" and each["metadata"]["name"] == "portcullis-operator"]
    assert "--watch-namespace=mcp" in operator["spec"]["template"]["spec"]["containers"][0]["args"]


def test_given_a_delay_and_a_drain_when_rendered_then_the_pod_is_given_time_for_both():
    spec = rendered({"dataPlane": {"shutdown": {"delaySeconds": 7, "drainSeconds": 100}}})[DATA_PLANE]["spec"]["template"]["spec"]
    assert spec["terminationGracePeriodSeconds"] > 107
    assert {"--shutdown-delay=7s", "--drain=100s"} <= set(spec["containers"][0]["args"])


@pytest.mark.parametrize("name", SETS)
def test_given_the_manifests_when_a_real_api_server_reads_them_strictly_then_it_takes_all(cluster, name):
    for each in objects(template(values=SETS[name])):
        if each["kind"] not in FOREIGN:
            cluster.kubectl("apply", "--server-side", "--dry-run=server", "--validate=strict", "-f", "-", input=yaml.safe_dump(each))


@pytest.mark.parametrize("name", SETS)
def test_given_a_namespace_that_enforces_the_restricted_profile_when_the_pods_are_made_then_they_are_admitted(cluster, name):
    found = rendered(SETS[name])
    pods = [found["Pod", "portcullis-test"], *(found[each]["spec"]["template"] for each in (OPERATOR, DATA_PLANE))]
    for number, pod in enumerate(pods):
        for container in pod["spec"]["containers"]:
            assert container["securityContext"]["readOnlyRootFilesystem"] is True
        spec = {key: value for key, value in pod["spec"].items() if key not in ("serviceAccountName", "priorityClassName")}
        made = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": f"pod-{number}", "namespace": NAMESPACE}, "spec": spec}
        cluster.kubectl("apply", "--server-side", "--dry-run=server", "-f", "-", input=yaml.safe_dump(made))


KINDS = ["mcpgateways.portcullis.dev", "originmcps.portcullis.dev", "virtualmcps.portcullis.dev", "teams.portcullis.dev"]
READ, WRITE = ("get", "list", "watch"), ("create", "update", "patch", "delete")


@pytest.fixture(scope="module")
def allowed(cluster):
    """Installs the chart's rights; answers whether an account may."""
    cluster.install_crds()
    for each in objects(template(values=POSTGRESQL)):
        if each["kind"] in ("ServiceAccount", "Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding"):
            cluster.api.apply(each)

    def may(account: str, verb: str, resource: str, namespace: str, *more: str) -> bool:
        user = f"system:serviceaccount:{NAMESPACE}:portcullis-{account}"
        done = cluster.kubectl("auth", "can-i", verb, resource, "--namespace", namespace, "--as", user, *more, check=False)
        return done.stdout.strip() == "yes"

    return may


def test_given_the_data_plane_when_it_asks_then_it_reads_the_publication_namespace_and_nothing_else(allowed):
    for verb in READ:
        assert allowed("data-plane", verb, "configmaps", PUBLICATION)
        assert allowed("data-plane", verb, "secrets", PUBLICATION)
        for namespace in ("default", NAMESPACE):
            for resource in ("configmaps", "secrets", "pods", *KINDS):
                assert not allowed("data-plane", verb, resource, namespace), (verb, resource, namespace)
    for verb in WRITE:
        for resource in ("configmaps", "secrets"):
            assert not allowed("data-plane", verb, resource, PUBLICATION), (verb, resource)
    for verb in ("get", "create", "update", "patch", "delete"):
        # The Lease of leader election is in this namespace.
        assert not allowed("data-plane", verb, "leases.coordination.k8s.io", NAMESPACE), verb
    for verb in ("create", "patch"):
        assert allowed("data-plane", verb, "leases.coordination.k8s.io", PUBLICATION), verb
    assert not allowed("data-plane", "delete", "leases.coordination.k8s.io", PUBLICATION)
    assert allowed("data-plane", "create", "tokenreviews.authentication.k8s.io", NAMESPACE)
    assert not allowed("data-plane", "create", "serviceaccounts", NAMESPACE, "--subresource=token")


def test_given_the_operator_when_it_asks_then_it_writes_the_publication_namespace_and_status_alone(allowed):
    for kind in KINDS:
        for verb in READ:
            assert allowed("operator", verb, kind, "default")
        for verb in WRITE:
            assert not allowed("operator", verb, kind, "default"), (verb, kind)
        assert allowed("operator", "patch", kind, "default", "--subresource=status")
    for verb in (*READ, *WRITE):
        assert allowed("operator", verb, "configmaps", PUBLICATION)
        assert allowed("operator", verb, "secrets", PUBLICATION)
        assert not allowed("operator", verb, "configmaps", "default"), verb
    for verb in WRITE:
        assert not allowed("operator", verb, "secrets", "default"), verb
        assert not allowed("operator", verb, "secrets", NAMESPACE), verb
        assert not allowed("operator", verb, "pods", NAMESPACE), verb
    assert allowed("operator", "list", "secrets", "default")
    assert not allowed("operator", "get", "secrets", "default")


def test_given_the_rights_of_the_api_level_when_compared_then_they_are_the_charts():
    def rules(found: list[dict]) -> dict:
        """Rules by who has them and where."""
        given = {}
        for each in found:
            if each["kind"] in ("Role", "ClusterRole"):
                operator = "operator" in each["metadata"]["name"]
                given[operator, each["metadata"].get("namespace")] = sorted(
                    (tuple(sorted(rule["apiGroups"])), tuple(sorted(rule["resources"])), tuple(sorted(rule["verbs"]))) for rule in each["rules"]
                )
        return given

    at_api_level = objects((charts.REPOSITORY / "tests/kubernetes/rbac.yaml").read_text())
    assert rules(at_api_level) == rules(objects(template(values=POSTGRESQL)))
