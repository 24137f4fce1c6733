"""A whole node of a real Kubernetes: etcd, API server, controllers, scheduler, kubelet, containerd, kube-proxy, and a pod network.

It lives in namespaces of its own (network, mounts, processes), which tests/node/run makes: addresses and ports are all ours, and
whatever is left of it ends with them.
"""

import json
import os
import subprocess
from pathlib import Path

import httpx2
import node_config as config
import oci
import yaml
from cluster_api import Api
from cluster_identity import Authority, by_certificate, kubeconfig, signing_key
from processes import Process, listening, wait_until

BINARIES = Path(os.environ.get("KUBERNETES_BIN", "/nonexistent"))
REPOSITORY = Path(__file__).resolve().parent.parent.parent
NAME = "node-1"
LOCAL = "127.0.0.1"


def system(*commands: str, check: bool = True) -> None:
    """Runs commands of the system's, as words without quotes."""
    for command in commands:
        done = subprocess.run(command.split(), capture_output=True, text=True, check=False)
        if check and done.returncode:
            raise RuntimeError(f"{command} ended with {done.returncode}: {done.stdout}{done.stderr}")


class Node:
    """The parts in the order in which they need each other; they end in the opposite one."""

    def __init__(self, folder: Path):
        if os.environ.get("PORTCULLIS_NODE") != "namespaces":
            raise RuntimeError("a node needs namespaces of its own: use ./tests/run node")
        self.folder = folder / "node"
        self.folder.mkdir(parents=True)
        self.server = f"https://{config.ADDRESS}:6443"
        self.authority = Authority(self.folder / "identity")
        self.parts: dict[str, Process] = {}
        certificate = self.authority.client("admin", "system:masters")
        self.kubeconfig = self._kubeconfig("admin", certificate)
        self.api = Api(self.server, self.authority.file, certificate=certificate)

    def _kubeconfig(self, user: str, certificate: tuple[Path, Path] | None = None) -> Path:
        certificate = certificate or self.authority.client(user, *(["system:nodes"] if user.startswith("system:node:") else []))
        return kubeconfig(self.folder / f"{user.replace(':', '-')}.kubeconfig", self.server, self.authority.file, by_certificate(*certificate))

    def _start(self, name: str, *arguments) -> None:
        binary = BINARIES / name if (BINARIES / name).exists() else name
        self.parts[name] = Process([binary, *arguments], log=self.folder / f"{name}.log")

    def _file(self, name: str, content) -> Path:
        file = self.folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content if isinstance(content, str) else yaml.safe_dump(content) if file.suffix != ".conflist" else json.dumps(content))
        return file

    # Starting.

    def start(self):
        self._network()
        self._control_plane()
        self._node()
        return self

    def _network(self) -> None:
        system(
            "sysctl -qw net.ipv4.ip_forward=1",
            "ip link add k8s0 type bridge",
            f"ip addr add {config.ADDRESS}/32 dev k8s0",
            "ip link set k8s0 up",
            "ip route add default dev k8s0",
        )

    def _no_network(self) -> None:
        """For the next node in the same namespace."""
        system("ip link del k8s0", f"ip link del {config.BRIDGE}", "nft flush ruleset", "conntrack -F", check=False)

    def address(self, last: int) -> str:
        """One more address of the node's, for something that runs beside the cluster and that pods reach."""
        address = f"10.250.1.{last}"
        system(f"ip addr add {address}/32 dev k8s0")
        return address

    def _control_plane(self) -> None:
        etcd, peers = f"http://{LOCAL}:2379", f"http://{LOCAL}:2380"
        self._start(
            "etcd", "--name=test", f"--data-dir={self.folder}/etcd", "--unsafe-no-fsync", "--log-level=warn",
            f"--listen-client-urls={etcd}", f"--advertise-client-urls={etcd}",
            f"--listen-peer-urls={peers}", f"--initial-advertise-peer-urls={peers}", f"--initial-cluster=test={peers}",
        )  # fmt: skip
        identity = self.folder / "identity"
        certificate, key = self.authority.server("api-server", config.ADDRESS, config.FIRST_SERVICE)
        to_kubelet = self.authority.client("kube-apiserver-kubelet-client", "system:masters")
        private, public = signing_key(identity)
        self._start(
            "kube-apiserver", f"--etcd-servers={etcd}", f"--bind-address={config.ADDRESS}", f"--advertise-address={config.ADDRESS}",
            "--secure-port=6443", f"--service-cluster-ip-range={config.SERVICES}", "--authorization-mode=Node,RBAC",
            "--enable-admission-plugins=NodeRestriction", "--allow-privileged=true", f"--client-ca-file={self.authority.file}",
            f"--tls-cert-file={certificate}", f"--tls-private-key-file={key}",
            f"--kubelet-client-certificate={to_kubelet[0]}", f"--kubelet-client-key={to_kubelet[1]}",
            f"--kubelet-certificate-authority={self.authority.file}", "--kubelet-preferred-address-types=InternalIP",
            "--service-account-issuer=https://kubernetes.default.svc", f"--service-account-key-file={public}",
            f"--service-account-signing-key-file={private}",
        )  # fmt: skip
        self._ready("kube-apiserver", self.answers, seconds=90)
        manager = self._kubeconfig("system:kube-controller-manager")
        self._start(
            "kube-controller-manager", f"--kubeconfig={manager}", f"--authentication-kubeconfig={manager}",
            f"--authorization-kubeconfig={manager}", f"--service-account-private-key-file={private}",
            f"--root-ca-file={self.authority.file}", "--use-service-account-credentials=true", "--leader-elect=false",
            f"--bind-address={LOCAL}", "--allocate-node-cidrs=true", f"--cluster-cidr={config.PODS}",
            f"--service-cluster-ip-range={config.SERVICES}",
        )  # fmt: skip
        scheduler = self._kubeconfig("system:kube-scheduler")
        self._start(
            "kube-scheduler", f"--kubeconfig={scheduler}", f"--authentication-kubeconfig={scheduler}",
            f"--authorization-kubeconfig={scheduler}", "--leader-elect=false", f"--bind-address={LOCAL}",
        )  # fmt: skip

    def _node(self) -> None:
        self._file("cni/10-pods.conflist", config.network(self.folder))
        self._start("containerd", "-c", self._file("containerd.toml", config.containerd(self.folder)))
        self._ready("containerd", lambda: self.ctr("version", check=False).returncode == 0)
        # The pod's placeholder, which holds its network: a program that waits.
        self.load(self.image(config.PAUSE, ["/sleep", "infinity"], "/bin/sleep"))
        serving = self.authority.server("kubelet", config.ADDRESS)
        settings = config.kubelet(self.folder, self.authority.file, serving, os.environ.get("PORTCULLIS_NODE_CGROUP") or None)
        self._start(
            "kubelet", f"--config={self._file('kubelet.yaml', settings)}", f"--kubeconfig={self._kubeconfig(f'system:node:{NAME}')}",
            f"--hostname-override={NAME}", f"--node-ip={config.ADDRESS}", f"--root-dir={self.folder}/kubelet",
        )  # fmt: skip
        proxy = config.kube_proxy(self.folder, self._kubeconfig("system:kube-proxy"), NAME)
        self._start("kube-proxy", f"--config={self._file('kube-proxy.yaml', proxy)}")
        self._ready("kubelet", self.is_ready, seconds=90)
        self._ready("kube-controller-manager", lambda: self.api.find("ServiceAccount", "default"))

    def _ready(self, name: str, condition, seconds: float = 30) -> None:
        def there():
            for part, process in self.parts.items():
                if process.popen.poll() is not None:
                    raise RuntimeError(f"{part} ended with {process.popen.returncode}:\n{process.text()[-4000:]}")
            return condition()

        try:
            wait_until(there, seconds=seconds, what=f"{name} to be ready")
        except TimeoutError as late:
            raise TimeoutError(f"{late}; it wrote:\n{self.parts[name].text()[-4000:]}") from None

    def answers(self) -> bool:
        if not listening(config.ADDRESS, 6443):
            return False
        try:
            return self.api.http.get("/readyz").status_code == 200
        except httpx2.TransportError:
            return False

    def is_ready(self) -> bool:
        shown = self.kubectl("get", "node", NAME, "-o", "json", check=False)
        if shown.returncode:
            return False
        conditions = json.loads(shown.stdout)["status"].get("conditions", [])
        return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)

    # Ending.

    def stop(self) -> None:
        """The kubelet first, so that nothing comes back; then its containers; etcd last."""
        order = ("kubelet", "kube-proxy", "kube-scheduler", "kube-controller-manager")
        for name in order:
            if name in self.parts:
                self.parts[name].stop()
        if "containerd" in self.parts and self.parts["containerd"].popen.poll() is None:
            tasks = self.ctr("tasks", "ls", "-q", check=False).stdout.split()
            if tasks:
                self.ctr("tasks", "rm", "-f", *tasks, check=False)
        for name in ("containerd", "kube-apiserver", "etcd"):
            if name in self.parts:
                self.parts[name].stop()
        self._unmount()
        self._no_network()

    def _unmount(self) -> None:
        """What containers and volumes had mounted, the last first, so that the folder can go."""
        places = [line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()]
        system(*(f"umount -l {place}" for place in reversed(places) if place.startswith(f"{self.folder}/")), check=False)

    def __enter__(self):
        try:
            return self.start()
        except BaseException:
            self.stop()
            raise

    def __exit__(self, *_):
        self.stop()

    # Breaking.

    def kill(self, name: str) -> None:
        """A part of the node dies without a word."""
        self.parts[name].kill()

    def revive(self, name: str) -> None:
        """Starts it again, as it was started."""
        dead = self.parts[name]
        self.parts[name] = Process(dead.argv, log=dead.log)
        if name == "kube-apiserver":
            self._ready(name, self.answers, seconds=60)

    def pid(self, container: str) -> int:
        """The first process of a container."""
        for line in self.ctr("tasks", "ls").stdout.splitlines():
            if line.startswith(container):
                return int(line.split()[1])
        raise RuntimeError(f"containerd runs no {container}")

    # Using.

    def _run(self, argv: list, *, check: bool = True, seconds: float = 120, input: str = "") -> subprocess.CompletedProcess:
        argv = [str(each) for each in argv]
        home = self.folder / "home"
        home.mkdir(exist_ok=True)
        done = subprocess.run(
            argv, capture_output=True, text=True, timeout=seconds, input=input, check=False,
            env={**os.environ, "KUBECONFIG": str(self.kubeconfig), "HOME": str(home)},
        )  # fmt: skip
        if check and done.returncode:
            raise RuntimeError(f"{' '.join(argv)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
        return done

    def kubectl(self, *arguments, **options) -> subprocess.CompletedProcess:
        return self._run([BINARIES / "kubectl", *arguments], **options)

    def helm(self, *arguments, **options) -> subprocess.CompletedProcess:
        return self._run([BINARIES / "helm", *arguments], **options)

    def ctr(self, *arguments, **options) -> subprocess.CompletedProcess:
        return self._run(["ctr", "--address", self.folder / "containerd.sock", "--namespace", "k8s.io", *arguments], **options)

    def json(self, *arguments) -> dict:
        """What `kubectl get` shows, as it is."""
        return json.loads(self.kubectl("get", *arguments, "-o", "json").stdout)

    def image(self, name: str, entrypoint: list[str], *programs) -> Path:
        """Lays out an image of these programs as the Dockerfile does, and packs it."""
        root = self.folder / "images" / name.replace("/", "-").replace(":", "-")
        subprocess.run([REPOSITORY / "image/rootfs", root, *map(str, programs)], check=True)
        for program in root.iterdir():
            if program.is_file() and program.stat().st_size > 10_000_000:
                subprocess.run(["strip", "--strip-debug", program], check=True)
        return oci.image(root.with_suffix(".tar"), name, root, entrypoint)

    def load(self, image: Path) -> None:
        self.ctr("images", "import", image)
        image.unlink()
