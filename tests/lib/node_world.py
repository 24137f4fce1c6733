"""What a test module lives in on a whole node: the chart, installed by Helm, with PostgreSQL, an identity provider and origins
beside the cluster; clients come through the Service."""

import json
import os
from pathlib import Path

import httpx2
import manifests as m
import yaml
from balancer import Balancer
from charts import CHART, CRDS, NAMESPACE, PUBLICATION, RELEASE
from cluster_api import ApiError
from cluster_identity import Authority
from gateway import HOST
from node import Node
from node_config import PEERS, PODS
from peers import AuthorizationServer, IdentityProvider, Origin, Peer
from postgres import Postgres
from processes import free_port, wait_until
from world import Visitors

REPOSITORY = "portcullis.test/portcullis"
DATABASE = "portcullis-database"
PROGRAMS = [Path(os.environ.get(each, "/nonexistent")) for each in ("PORTCULLIS_IMAGE_BIN", "PORTCULLIS_OPERATOR_BIN")]


def at(peer: Peer, address: str) -> Peer:
    """The same peer, on an address that pods reach."""
    peer.host = address
    return peer


class NodeWorld(Visitors):
    """Origins `open` (for anybody) and `accounts` (OAuth), a virtual MCP of the same name for each."""

    def __init__(self, folder: Path, **values):
        self.folder = folder
        self.node = Node(folder)
        self.values = values
        self.balancer = Balancer(HOST)
        self.public_url = f"http://{HOST}:{self.balancer.port}"
        self.peers: list[Peer] = []
        self.database: Postgres | None = None

    def url(self, slug: str) -> str:
        return f"{self.public_url}/mcp/{slug}"

    def __enter__(self):
        try:
            self.node.start()
            self._surround()
            self.node.load(self.node.image(f"{REPOSITORY}:one", ["/portcullis"], *PROGRAMS))
            self.node.ctr("images", "tag", f"{REPOSITORY}:one", f"{REPOSITORY}:two")
            self._namespace()
            self.node.helm("install", f"{RELEASE}-crds", CRDS, "--namespace", NAMESPACE)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for peer in reversed(self.peers):
            peer.stop()
        self.node.stop()
        if self.database:
            self.database.close()
        self.balancer.close()

    def _surround(self) -> None:
        idp, authorization, origins, database = (self.node.address(last) for last in (2, 3, 4, 5))
        self.database_authority = Authority(self.folder / "database-authority", "the tests' database")
        certificate = self.database_authority.server("database", database)
        self.database = Postgres(self.folder, host=database, port=5432, tls=certificate)
        self.idp = at(IdentityProvider(self.folder, self.public_url), idp)
        port = free_port(origins)
        self.authorization = at(AuthorizationServer(self.folder, f"http://{origins}:{port}/mcp", accessTtl=3600), authorization)
        self.origins = {
            "open": at(Origin(self.folder, "open"), origins),
            "accounts": at(Origin(self.folder, "accounts", port, issuer=self.authorization.base), origins),
        }
        self.peers = [self.idp, self.authorization, *self.origins.values()]
        for each in self.peers:
            each.launch()
        for each in self.peers:
            each.wait()

    def _namespace(self) -> None:
        labels = {"pod-security.kubernetes.io/enforce": "restricted"}
        self.node.api.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE, "labels": labels}})
        url = f"{self.database.url}?sslmode=verify-full&sslrootcert=/run/portcullis/database/ca.crt"
        given = {"url": url, "ca.crt": self.database_authority.file.read_text()}
        self.node.api.apply({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": DATABASE}, "stringData": given}, NAMESPACE)

    # The release.

    def helm(self, verb: str, tag: str = "one", **more) -> str:
        """Installs or upgrades, and waits for nothing."""
        values = {
            "image": {"repository": REPOSITORY, "tag": tag, "pullPolicy": "Never"},
            "database": {"kind": "postgresql", "postgresql": {"existingSecret": {"name": DATABASE, "caKey": "ca.crt"}}},
            "gateway": {"namespace": "default", "name": "gateway"},
            **self.values,
            **more,
        }
        return self.node.helm(verb, RELEASE, CHART, "--namespace", NAMESPACE, "--values", "-", input=yaml.safe_dump(values)).stdout

    def install(self) -> str:
        notes = self.helm("install")
        self.lead()
        return notes

    def lead(self) -> None:
        """The public URL leads to the Service."""
        service = self.node.json("service", RELEASE, "--namespace", NAMESPACE)
        self.balancer.targets = [(service["spec"]["clusterIP"], 80)]

    def rolled_out(self, *names: str, seconds: int = 120) -> None:
        for name in names or ("operator", "data-plane"):
            try:
                self.node.kubectl(
                    "rollout", "status", f"deployment/{RELEASE}-{name}", "--namespace", NAMESPACE, f"--timeout={seconds}s", seconds=seconds + 10
                )
            except RuntimeError as late:
                raise RuntimeError(f"{late}\n{self.describe()}") from None

    def reachable(self, seconds: float = 20) -> None:
        """Waits until the Service leads somewhere again: a pod that is ready is reached a moment later."""

        def there():
            try:
                return httpx2.get(self.public_url, trust_env=False).status_code < 500
            except httpx2.TransportError:
                return False

        wait_until(there, seconds=seconds, what="an answer through the Service")

    def describe(self) -> str:
        """What there is to know when something does not come up."""
        shown = [self.node.kubectl("get", "all", "--namespace", NAMESPACE, "-o", "wide", check=False).stdout]
        shown.append(self.node.kubectl("get", "mcp", "--all-namespaces", check=False).stdout)
        shown.append(self.node.kubectl("get", "events", "--namespace", NAMESPACE, "--sort-by=.lastTimestamp", check=False).stdout[-3000:])
        for component in ("operator", "data-plane"):
            shown.append(self.logs(component, 25))
        return "\n".join(shown)

    def logs(self, component: str, lines: int = -1) -> str:
        selector = f"app.kubernetes.io/component={component}"
        done = self.node.kubectl("logs", "--namespace", NAMESPACE, "--selector", selector, f"--tail={lines}", "--prefix", check=False)
        return done.stdout + done.stderr

    def pods(self, component: str) -> list[dict]:
        """Those that are there and not on their way out."""
        found = self.node.json("pods", "--namespace", NAMESPACE, "--selector", f"app.kubernetes.io/component={component}")["items"]
        return [each for each in found if "deletionTimestamp" not in each["metadata"]]

    def delete(self, *pods: str) -> None:
        """As `kubectl delete pod` does, its flags included."""
        self.node.kubectl("delete", "pod", *pods, "--namespace", NAMESPACE, seconds=90)

    def calls(self, pod: str) -> int:
        """How many requests this pod has answered in the last two seconds."""
        return self.node.kubectl("logs", pod, "--namespace", NAMESPACE, "--since=2s").stdout.count('"event":"mcp.request"')

    def leader(self) -> str:
        """The operator's pod that leads."""
        names = {each["metadata"]["name"] for each in self.pods("operator")}
        for lease in self.node.api.list("Lease", NAMESPACE):
            if lease["spec"].get("holderIdentity") in names and "portcullis.dev/replica-of" not in lease["metadata"].get("labels", {}):
                return lease["spec"]["holderIdentity"]
        raise RuntimeError(f"no operator leads\n{self.logs('operator', 20)}")

    # What people apply.

    def resources(self) -> list[dict]:
        tenancy = [{"namespaces": ["default"], "everyone": True, "privateNetworks": [PEERS, PODS]}]
        gateway = m.gateway(self.public_url, m.oidc(self.idp.base))
        gateway["spec"]["tenancy"] = tenancy
        found = [m.secret("idp", clientSecret=self.idp.secret), gateway]
        for name, peer in self.origins.items():
            found += [m.origin(name, peer.url, m.USER_OAUTH if name == "accounts" else None), m.virtual(name, name)]
        return found

    def apply(self, *resources: dict) -> None:
        for each in resources or self.resources():
            self.node.api.apply(each)

    def programmed(self, kind: str, name: str, seconds: float = 60) -> None:
        def there():
            return self.node.api.conditions(kind, name).get("Programmed", {}).get("status") == "True"

        try:
            wait_until(there, seconds=seconds, what=f"{kind} {name} to be programmed")
        except TimeoutError as late:
            raise TimeoutError(f"{late}: {json.dumps(self.node.api.conditions(kind, name), indent=1)}\n{self.describe()}") from None

    def serve(self) -> None:
        """Applies everything and waits until every replica serves it, and the Service leads to them."""
        self.apply()
        self.rolled_out()
        for name in self.origins:
            self.programmed("VirtualMcp", name)
        self.reachable()

    def published(self) -> dict[str, dict]:
        """What lies in the publication namespace, by kind and name."""
        found = {}
        for kind in ("ConfigMap", "Secret"):
            try:
                listed = self.node.api.list(kind, PUBLICATION)
            except ApiError as error:
                if error.code == 404:
                    continue
                raise
            found |= {f"{kind}/{each['metadata']['name']}": each for each in listed if each["metadata"]["name"] != "kube-root-ca.crt"}
        return found
