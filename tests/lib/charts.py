"""The charts, as Helm renders them."""

import os
import subprocess
from pathlib import Path

import yaml

REPOSITORY = Path(__file__).resolve().parent.parent.parent
HELM = Path(os.environ.get("KUBERNETES_BIN", "/nonexistent")) / "helm"
CHART = REPOSITORY / "charts/portcullis"
CRDS = REPOSITORY / "charts/portcullis-crds"
RELEASE, NAMESPACE, PUBLICATION = "portcullis", "portcullis", "portcullis-publication"

POSTGRESQL = {"database": {"kind": "postgresql", "postgresql": {"existingSecret": {"name": "portcullis-database"}}}}
EVERYTHING = {
    **POSTGRESQL,
    "commonLabels": {"example.com/owner": "platform"},
    "image": {"repository": "registry.example.com/portcullis", "digest": f"sha256:{'0' * 64}"},
    "imagePullSecrets": [{"name": "pull"}],
    "operator": {"podAnnotations": {"example.com/note": "x"}, "extraEnv": [{"name": "SSL_CERT_DIR", "value": "/certificates"}]},
    "dataPlane": {
        "workers": 4,
        "autoscaling": {"enabled": True, "minReplicas": 3, "maxReplicas": 9},
        "tolerations": [{"key": "dedicated", "operator": "Exists"}],
        "nodeSelector": {"kubernetes.io/os": "linux"},
        "priorityClassName": "system-cluster-critical",
    },
    "egressProxy": {"existingSecret": {"name": "proxy"}, "noProxy": ["cluster.local", "10.0.0.0/8"]},
    "service": {"type": "LoadBalancer", "externalTrafficPolicy": "Local"},
    "ingress": {"enabled": True, "host": "mcp.example.com", "className": "nginx", "tls": {"secretName": "mcp-tls"}},
    "httpRoute": {"enabled": True, "parentRefs": [{"name": "public", "namespace": "gateways"}], "hostnames": ["mcp.example.com"]},
    "networkPolicy": {"monitoringFrom": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}]},
    "serviceMonitor": {"enabled": True, "labels": {"release": "prometheus"}},
    "prometheusRule": {"enabled": True, "labels": {"release": "prometheus"}},
}


class Refused(Exception):
    """What Helm wrote."""


def helm(*arguments, values: dict | None = None) -> str:
    given = ["--values", "-"] if values is not None else []
    done = subprocess.run(
        [HELM, *map(str, arguments), *given], capture_output=True, text=True, timeout=60, check=False, input=yaml.safe_dump(values or {})
    )
    if done.returncode:
        raise Refused(done.stdout + done.stderr)
    return done.stdout


def template(chart: Path = CHART, values: dict | None = None) -> str:
    return helm("template", RELEASE, chart, "--namespace", NAMESPACE, values=values or {})


def objects(text: str) -> list[dict]:
    return [each for each in yaml.safe_load_all(text) if each]


def rendered(values: dict | None = None) -> dict[tuple[str, str], dict]:
    """The chart's objects by kind and name, Helm's hooks included. Roles aside, no two namespaces have the same."""
    return {(each["kind"], each["metadata"]["name"]): each for each in objects(template(values=values))}
