"""The operator and the replicas of a data plane, as processes with the kubeconfig of their service account."""

import json
import os
import signal
from pathlib import Path

import httpx2
from cluster import Cluster
from gateway import HOST, Gateway
from processes import Process, free_port, wait_until

OPERATOR = os.environ.get("PORTCULLIS_OPERATOR_BIN", "portcullis-operator")
RELEASE = "portcullis"
NAMESPACE = "portcullis"  # of the release: Leases, and in a real cluster the pods
PUBLICATION = "portcullis-publication"


class Operator:
    """One process of `portcullis-operator run`."""

    def __init__(self, folder: Path, cluster: Cluster, name: str = "operator-0"):
        self.folder, self.cluster, self.name = folder, cluster, name
        self.port = free_port(HOST)
        self.process: Process | None = None
        self.gateway = "default/gateway"  # the one that it serves
        self.arguments: list = []  # more of them for `run`

    def launch(self) -> None:
        self.process = Process(
            [
                OPERATOR, "run", "--publication-namespace", PUBLICATION, "--replica-namespace", NAMESPACE, "--replica-of", RELEASE,
                "--replicas-from", "leases", "--gateway", self.gateway, "--admin-listen", f"{HOST}:{self.port}", *self.arguments,
            ],
            log=self.folder / f"{self.name}.log",
            env={
                "POD_NAME": self.name,
                "POD_NAMESPACE": NAMESPACE,
                "KUBECONFIG": str(self.cluster.account("portcullis-operator", NAMESPACE)),
                "RUST_LOG": os.environ.get("RUST_LOG", "info"),
            },
        )  # fmt: skip

    def wait(self, seconds: float = 20) -> None:
        self.process.wait_ready(HOST, self.port, seconds)

    def kill(self) -> None:
        self.process.kill()

    def stop(self) -> None:
        if self.process:
            self.process.stop()


class Replica(Gateway):
    """One process of `portcullis serve --kubernetes`. Its state folder is its own, as a pod's emptyDir is."""

    def __init__(self, folder: Path, cluster: Cluster, name: str, public_port: int, database: str | None = None):
        (folder / name).mkdir(parents=True)
        super().__init__(folder / name, None, None, public_port)
        self.cluster, self.name, self.database = cluster, name, database

    def source(self) -> list:
        database = ["--database", self.database] if self.database else []
        return [
            "--kubernetes", "--publication-namespace", PUBLICATION, "--replica-name", self.name,
            "--replica-of", RELEASE, "--shutdown-delay", "100ms", "--drain", "2s", *database,
        ]  # fmt: skip

    def env(self) -> dict[str, str]:
        return super().env() | {"KUBECONFIG": str(self.cluster.account("portcullis-data-plane", NAMESPACE))}

    def wait(self, seconds: float = 20) -> None:
        """Until it is ready: whether it listens before is its own affair."""

        def ready():
            if self.process.popen.poll() is not None:
                raise RuntimeError(f"{self.name} ended with {self.process.popen.returncode}:\n{self.log()[-4000:]}")
            return self.ready()

        try:
            wait_until(ready, seconds=seconds, what=f"{self.name} to be ready")
        except TimeoutError as late:
            raise TimeoutError(f"{late}; it wrote:\n{self.log()[-4000:]}") from None

    @property
    def address(self) -> tuple[str, int]:
        return HOST, self.port

    def freeze(self) -> None:
        """Nothing of it runs until `thaw`, though its connections stay."""
        os.kill(self.process.popen.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        os.kill(self.process.popen.pid, signal.SIGCONT)

    def stop(self) -> None:
        if self.process and self.process.popen.poll() is None:
            self.thaw()
        super().stop()

    def routes(self) -> dict[str, dict]:
        """What it serves, by slug."""
        try:
            answer = self.admin("/debug/routes")
        except httpx2.TransportError:
            return {}
        return {each["slug"]: each for each in answer.json()["routes"]} if answer.status_code == 200 else {}

    def lease(self) -> dict | None:
        """The Lease in which it reports."""
        leases = self.cluster.api.list("Lease", PUBLICATION, f"portcullis.dev/replica-of={RELEASE}")
        return next((each for each in leases if each["spec"].get("holderIdentity") == self.name), None)

    def report(self) -> dict:
        """What it says of itself; nothing where it has said nothing yet."""
        annotations = (self.lease() or {"metadata": {}})["metadata"].get("annotations", {})
        return json.loads(annotations.get("portcullis.dev/report", "{}"))

    def memory(self, what: str = "VmRSS") -> int:
        """Resident bytes of the process; `VmHWM` for their most so far."""
        return resident(self.process.popen.pid, what)


def resident(pid: int, what: str = "VmRSS") -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{what}:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f"/proc/{pid}/status has no {what}")
