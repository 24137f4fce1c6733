"""The Kubernetes API by hand: one call a method, without a client's caches in between."""

import ssl
import time

import httpx2

GROUPS = {
    "McpGateway": ("portcullis.dev/v1alpha1", "mcpgateways"),
    "OriginMcp": ("portcullis.dev/v1alpha1", "originmcps"),
    "VirtualMcp": ("portcullis.dev/v1alpha1", "virtualmcps"),
    "Team": ("portcullis.dev/v1alpha1", "teams"),
    "Secret": ("v1", "secrets"),
    "ConfigMap": ("v1", "configmaps"),
    "Namespace": ("v1", "namespaces"),
    "PersistentVolume": ("v1", "persistentvolumes"),
    "Pod": ("v1", "pods"),
    "ServiceAccount": ("v1", "serviceaccounts"),
    "Event": ("v1", "events"),
    "Lease": ("coordination.k8s.io/v1", "leases"),
    "Role": ("rbac.authorization.k8s.io/v1", "roles"),
    "RoleBinding": ("rbac.authorization.k8s.io/v1", "rolebindings"),
    "ClusterRole": ("rbac.authorization.k8s.io/v1", "clusterroles"),
    "ClusterRoleBinding": ("rbac.authorization.k8s.io/v1", "clusterrolebindings"),
    "CustomResourceDefinition": ("apiextensions.k8s.io/v1", "customresourcedefinitions"),
}
CLUSTER_SCOPED = {"Namespace", "PersistentVolume", "ClusterRole", "ClusterRoleBinding", "CustomResourceDefinition"}

# Seconds. An API server that has just started says 429 until it has read its storage, and when to ask again; any client does.
PATIENCE = 30


class ApiError(Exception):
    """What the API server refused: `status.reason`, `status.message`, HTTP code."""

    def __init__(self, answer: httpx2.Response):
        self.code = answer.status_code
        try:
            status = answer.json()
        except ValueError:
            status = {}
        self.reason = status.get("reason", "")
        self.message = status.get("message", answer.text)
        super().__init__(f"{self.code} {self.reason}: {self.message}")


def path(kind: str, namespace: str | None, name: str | None = None) -> str:
    version, plural = GROUPS[kind]
    parts = ["/apis" if "/" in version else "/api", version]
    if kind not in CLUSTER_SCOPED and namespace:
        parts += ["namespaces", namespace]
    parts.append(plural)
    if name:
        parts.append(name)
    return "/".join(parts)


class Api:
    """One user of the API server."""

    def __init__(self, server: str, authority, *, certificate=None, token: str | None = None):
        context = ssl.create_default_context(cafile=str(authority))
        if certificate:
            context.load_cert_chain(*map(str, certificate))
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        self.http = httpx2.Client(base_url=server, verify=context, headers=headers, timeout=30, trust_env=False)

    def _ask(self, method: str, where: str, **given):
        deadline = time.monotonic() + PATIENCE
        while (answer := self.http.request(method, where, **given)).status_code == 429 and time.monotonic() < deadline:
            time.sleep(float(answer.headers.get("retry-after", 1)))
        if answer.status_code >= 400:
            raise ApiError(answer)
        return answer.json()

    def get(self, kind: str, name: str, namespace: str = "default") -> dict:
        return self._ask("GET", path(kind, namespace, name))

    def find(self, kind: str, name: str, namespace: str = "default") -> dict | None:
        """As `get`; None where there is none."""
        try:
            return self.get(kind, name, namespace)
        except ApiError as error:
            if error.code == 404:
                return None
            raise

    def list(self, kind: str, namespace: str | None = "default", selector: str | None = None) -> list[dict]:
        """All of a namespace, or of every one with None."""
        return self._ask("GET", path(kind, namespace), params={"labelSelector": selector} if selector else None)["items"]

    def create(self, resource: dict, namespace: str = "default") -> dict:
        return self._ask("POST", path(resource["kind"], namespace_of(resource, namespace)), json=resource)

    def apply(self, resource: dict, namespace: str = "default", manager: str = "tests", force: bool = True) -> dict:
        """Server-side apply."""
        where = path(resource["kind"], namespace_of(resource, namespace), resource["metadata"]["name"])
        headers = {"Content-Type": "application/apply-patch+yaml"}
        given = {"fieldManager": manager, "force": str(force).lower(), "fieldValidation": "Strict"}
        return self._ask("PATCH", where, params=given, headers=headers, json=resource)

    def merge(self, kind: str, name: str, change: dict, namespace: str = "default") -> dict:
        """A JSON merge patch (RFC 7396)."""
        headers = {"Content-Type": "application/merge-patch+json"}
        return self._ask("PATCH", path(kind, namespace, name), headers=headers, json=change)

    def delete(self, kind: str, name: str, namespace: str = "default") -> None:
        self._ask("DELETE", path(kind, namespace, name))

    def token(self, account: str, namespace: str, *, audience: str | None = None, seconds: int = 86_400, bound: dict | None = None) -> str:
        """A token of a service account's (TokenRequest): for the API server unless for another audience; `bound` to an object's life."""
        spec = {"expirationSeconds": seconds, "audiences": [audience] if audience else None, "boundObjectRef": bound}
        request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}
        where = f"{path('ServiceAccount', namespace, account)}/token"
        return self._ask("POST", where, json=request)["status"]["token"]

    def conditions(self, kind: str, name: str, namespace: str = "default") -> dict[str, dict]:
        """The conditions of a resource by type."""
        found = self.find(kind, name, namespace) or {}
        return {each["type"]: each for each in found.get("status", {}).get("conditions", [])}


def namespace_of(resource: dict, default: str) -> str:
    return resource["metadata"].get("namespace", default)
