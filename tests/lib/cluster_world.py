"""What a test module lives in on Kubernetes: an API server, an identity provider, origins, operators, and replicas behind one
address. The replicas know of what is applied only from the cluster."""

import json
from pathlib import Path

import httpx2
import manifests as m
from balancer import Balancer
from cluster import REPOSITORY, Cluster
from cluster_parts import NAMESPACE, PUBLICATION, Operator, Replica
from gateway import HOST
from peers import IdentityProvider, Peer
from processes import wait_until
from raw import Caller
from world import Surroundings, Visitors

RBAC = REPOSITORY / "tests/kubernetes/rbac.yaml"


class ClusterWorld(Visitors):
    """The people's resources lie in the namespace `default`; the release in `portcullis`; what is published in a third."""

    def __init__(
        self, folder: Path, *origins: str, replicas: int = 1, operators: int = 1, database: str | None = None, access_ttl: int = 3600, **spec
    ):
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.cluster = Cluster(folder)
        self.balancer = Balancer(HOST)
        self.public_url = f"http://{HOST}:{self.balancer.port}"
        self.idp = IdentityProvider(folder, self.public_url)
        self.peers: list[Peer] = [self.idp]
        self.origins: dict[str, Peer] = {}
        self.resources = [self.gateway_manifest(**spec), m.secret("idp", clientSecret=self.idp.secret)]
        for name in origins:
            around = Surroundings(folder, name, access_ttl)
            if around.authorization:
                self.authorization = around.authorization
            self.peers += around.peers
            self.origins[name] = around.origin
            self.resources += around.manifests
        self.operators = [Operator(folder, self.cluster, f"operator-{number}") for number in range(operators)]
        self.replicas = [Replica(folder, self.cluster, f"replica-{number}", self.balancer.port, database) for number in range(replicas)]

    def gateway_manifest(self, **spec) -> dict:
        return m.gateway(self.public_url, m.oidc(self.idp.base), **spec)

    def url(self, slug: str) -> str:
        return f"{self.public_url}/mcp/{slug}"

    @property
    def api(self):
        return self.cluster.api

    def __enter__(self):
        try:
            self.cluster.launch()
            for peer in self.peers:
                peer.launch()
            self.cluster.wait()
            self.prepare()
            for each in self.operators:
                each.launch()
            self.apply(*self.resources)
            for each in self.replicas:
                each.launch()
            for peer in self.peers:
                peer.wait()
            for each in self.replicas:
                each.wait()
            self.balance()
            for resource in self.resources:
                if resource["kind"] == "VirtualMcp":
                    self.served(resource["metadata"]["name"])
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for each in (*self.replicas, *self.operators):
            each.stop()
        self.balancer.close()
        for peer in reversed(self.peers):
            peer.stop()
        self.cluster.stop()

    def prepare(self) -> None:
        """What an installation brings: definitions, namespaces, rights."""
        self.cluster.install_crds()
        for name in (NAMESPACE, PUBLICATION):
            self.cluster.namespace(name)
        self.cluster.kubectl("apply", "--server-side", "-f", RBAC)

    def balance(self, *replicas: Replica) -> None:
        """From now on the public address leads to these replicas; to all of them without any."""
        self.balancer.targets = [each.address for each in replicas or self.replicas]

    # What people do in a cluster.

    def apply(self, *resources: dict, namespace: str = "default") -> None:
        for each in resources:
            self.api.apply(each, namespace)

    def delete(self, *resources: dict, namespace: str = "default") -> None:
        for each in resources:
            self.api.delete(each["kind"], each["metadata"]["name"], namespace)

    def condition(self, kind: str, name: str, type: str, namespace: str = "default") -> dict:
        return self.api.conditions(kind, name, namespace).get(type, {"status": "absent"})

    def wait_condition(self, kind: str, name: str, type: str, status: str, reason: str | None = None, *, namespace="default", seconds=10) -> dict:
        """Waits for a condition about the resource as it is now, and returns it."""

        def there():
            found = self.api.find(kind, name, namespace)
            if not found:
                return None
            for each in found.get("status", {}).get("conditions", []):
                current = each.get("observedGeneration") == found["metadata"]["generation"]
                if current and each["type"] == type and each["status"] == status and reason in (None, each["reason"]):
                    return each
            return None

        try:
            return wait_until(there, seconds=seconds, what=f"{kind} {name} to be {type}={status} {reason or ''}")
        except TimeoutError as late:
            shown = json.dumps(self.api.conditions(kind, name, namespace), indent=1)
            raise TimeoutError(f"{late}; its conditions:\n{shown}\n{self.operators[0].process.text()[-2000:]}") from None

    def published(self, source: str = "VirtualMcp default/open") -> dict:
        """The ConfigMap that is published for a resource."""
        found = [
            each
            for each in self.api.list("ConfigMap", PUBLICATION)
            if each["metadata"].get("annotations", {}).get("portcullis.dev/source") == source and "portcullis.dev/publication" in each["metadata"]["labels"]
        ]
        assert len(found) == 1, f"{len(found)} objects are published for {source}"
        return found[0]

    # What is to be seen at the replicas.

    def served(self, slug: str, by: list[Replica] | None = None, *, seconds: float = 15) -> None:
        """Waits until every replica serves this slug."""
        for each in by or self.replicas:
            try:
                wait_until(lambda each=each: slug in each.routes(), seconds=seconds, what=f"{each.name} to serve {slug}")
            except TimeoutError as late:
                text = self.operators[0].process.text()[-3000:] if self.operators else ""
                raise TimeoutError(f"{late}; {each.name} wrote:\n{each.log()[-2000:]}\nthe operator wrote:\n{text}") from None

    def gone(self, slug: str, by: list[Replica] | None = None, *, seconds: float = 15) -> None:
        """Waits until no replica serves this slug."""
        for each in by or self.replicas:
            wait_until(lambda each=each: slug not in each.routes(), seconds=seconds, what=f"{each.name} not to serve {slug}")

    def at(self, replica: Replica, caller: Caller) -> Caller:
        """The same client, its requests to this replica alone."""
        other = Caller(caller.url, caller.token, caller.era, caller.capabilities)
        other.session = caller.session
        other.url = caller.url.replace(self.public_url, f"http://{HOST}:{replica.port}")
        other.http = httpx2.Client(timeout=20, trust_env=False, headers={"Host": f"{HOST}:{self.balancer.port}"})
        return other
