"""A real Kubernetes API: etcd and kube-apiserver on loopback, with RBAC, certificates and an audit log, in seconds.

There are no nodes: what would be pods runs as ordinary processes, each with the kubeconfig of its service account.
"""

import json
import os
import subprocess
from pathlib import Path

import httpx2
import yaml
from cluster_api import Api
from cluster_identity import Authority, by_certificate, kubeconfig, signing_key
from processes import Process, free_port, listening, wait_until, whole_lines

HOST = "127.0.0.1"
BINARIES = Path(os.environ.get("KUBERNETES_BIN", "/nonexistent"))
REPOSITORY = Path(__file__).resolve().parent.parent.parent
CRDS = REPOSITORY / "crds/manifests"

# Every request's verb, object and user, once, when it has been answered; a watch when it begins.
AUDIT_POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "rules": [
        {"level": "None", "users": ["system:apiserver"]},
        {"level": "None", "nonResourceURLs": ["*"]},
        {"level": "Metadata", "omitStages": ["RequestReceived"]},
    ],
}


class Cluster:
    """One API server. `stop` and `start` it as often as a test wants: what it knows is etcd's."""

    def __init__(self, folder: Path):
        self.folder = folder / "cluster"
        self.authority = Authority(self.folder / "identity")
        self.port = free_port(HOST)
        self.etcd_port, self.peer_port = free_port(HOST), free_port(HOST)
        self.server = f"https://{HOST}:{self.port}"
        self.audit_log = self.folder / "audit.log"
        self.etcd: Process | None = None
        self.api_server: Process | None = None
        self.admin_certificate = self.authority.client("admin", "system:masters")
        self.kubeconfig = self._kubeconfig("admin", by_certificate(*self.admin_certificate))
        self.api = Api(self.server, self.authority.file, certificate=self.admin_certificate)
        self._server_files()

    def _server_files(self) -> None:
        identity = self.folder / "identity"
        self.serving = self.authority.server("api-server", HOST, "10.96.0.1")
        self.signing = signing_key(identity)
        self.policy = self.folder / "audit-policy.yaml"
        self.policy.write_text(yaml.safe_dump(AUDIT_POLICY))

    def launch(self) -> None:
        """Starts both without waiting: `wait` does."""
        if self.etcd is None:
            client, peer = f"http://{HOST}:{self.etcd_port}", f"http://{HOST}:{self.peer_port}"
            self.etcd = Process(
                [BINARIES / "etcd", "--name", "test", "--data-dir", self.folder / "etcd", "--unsafe-no-fsync", "--log-level", "warn",
                 "--listen-client-urls", client, "--advertise-client-urls", client,
                 "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer, "--initial-cluster", f"test={peer}"],
                log=self.folder / "etcd.log",
            )  # fmt: skip
        certificate, key = self.serving
        private, public = self.signing
        self.api_server = Process(
            [BINARIES / "kube-apiserver", "--etcd-servers", f"http://{HOST}:{self.etcd_port}",
             "--bind-address", HOST, "--advertise-address", HOST, "--secure-port", self.port,
             "--endpoint-reconciler-type", "none", "--service-cluster-ip-range", "10.96.0.0/16",
             "--authorization-mode", "RBAC", "--anonymous-auth=false",
             "--client-ca-file", self.authority.file, "--tls-cert-file", certificate, "--tls-private-key-file", key,
             "--service-account-issuer", "https://kubernetes.default.svc", "--service-account-key-file", public,
             "--service-account-signing-key-file", private,
             "--audit-policy-file", self.policy, "--audit-log-path", self.audit_log],
            log=self.folder / "kube-apiserver.log",
        )  # fmt: skip

    def wait(self, seconds: float = 60) -> None:
        """Until it answers `/readyz`, which includes the roles that Kubernetes itself brings."""

        def ready():
            for process in (self.etcd, self.api_server):
                if process.popen.poll() is not None:
                    raise RuntimeError(f"{process.argv[0]} ended with {process.popen.returncode}:\n{process.text()[-4000:]}")
            return self.answers()

        try:
            wait_until(ready, seconds=seconds, what="the API server to be ready")
        except TimeoutError as late:
            raise TimeoutError(f"{late}; it wrote:\n{self.api_server.text()[-4000:]}") from None

    def answers(self) -> bool:
        if not listening(HOST, self.port):
            return False
        try:
            return self.api.http.get("/readyz").status_code == 200
        except httpx2.TransportError:
            return False

    def start(self):
        self.launch()
        self.wait()
        return self

    def stop_api_server(self) -> None:
        """As the end of its machine would: connections break, nobody is told."""
        self.api_server.kill()

    def stop(self) -> None:
        for process in (self.api_server, self.etcd):
            if process:
                process.stop()

    def __enter__(self):
        try:
            return self.start()
        except BaseException:
            self.stop()
            raise

    def __exit__(self, *_):
        self.stop()

    def _kubeconfig(self, name: str, user: dict, namespace: str = "default") -> Path:
        return kubeconfig(self.folder / f"{name}.kubeconfig", self.server, self.authority.file, user, namespace)

    def administrator(self) -> Api:
        """The administrator once more, with a connection of its own: for a thread."""
        return Api(self.server, self.authority.file, certificate=self.admin_certificate)

    def user(self, name: str, *groups: str) -> Api:
        """A person with a certificate: what RBAC does not give them, they may not."""
        return Api(self.server, self.authority.file, certificate=self.authority.client(name, *groups))

    def account(self, name: str, namespace: str) -> Path:
        """The kubeconfig of a service account, with a token of its own; the same one each time."""
        file = self.folder / f"{namespace}-{name}.kubeconfig"
        if not file.exists():
            self._kubeconfig(f"{namespace}-{name}", {"token": self.api.token(name, namespace)}, namespace)
        return file

    def kubectl(self, *arguments, input: str | None = None, check: bool = True) -> subprocess.CompletedProcess:
        """kubectl as the administrator, as a person would type it.

        It keeps no cache: what `/openapi/v3` lists bears a time in whole seconds and no ETag, so that one who asks twice within a second is told
        that nothing changed, whatever did.
        """
        done = subprocess.run(
            [BINARIES / "kubectl", *map(str, arguments)],
            capture_output=True, text=True, timeout=60, input=input or "", check=False,
            env={**os.environ, "KUBECONFIG": str(self.kubeconfig), "HOME": str(self.folder), "KUBECACHEDIR": os.devnull},
        )  # fmt: skip
        if check and done.returncode:
            raise RuntimeError(f"kubectl {' '.join(map(str, arguments))} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
        return done

    def install_crds(self) -> None:
        """Applies the definitions as their readers will, and waits until they are served, and described, which takes a second longer."""
        self.kubectl("apply", "--server-side", "-f", CRDS)
        self.kubectl("wait", "--for=condition=Established", "--timeout=30s", "-f", CRDS)
        wait_until(lambda: "apis/portcullis.dev/v1alpha1" in self.api.http.get("/openapi/v3").json()["paths"], what="the definitions to be described")

    def namespace(self, name: str, **labels: str) -> None:
        self.api.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}})
        # Nobody's controller makes it here.
        self.api.apply({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}}, name)

    def requests(self, user: str | None = None, *verbs: str) -> list[dict]:
        """The audited requests so far, of this user (or whoever's name ends so) and with these verbs."""
        found = []
        for line in whole_lines(self.audit_log):
            event = json.loads(line)
            if user and not event["user"]["username"].endswith(user):
                continue
            if not verbs or event["verb"] in verbs:
                found.append(event)
        return found

    def writes(self, user: str | None = None) -> list[dict]:
        """The audited requests that may have changed something, Leases aside: they are renewed by design."""
        found = self.requests(user, "create", "update", "patch", "delete", "deletecollection")
        return [each for each in found if each.get("objectRef", {}).get("resource") != "leases"]
