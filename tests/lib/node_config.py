"""What the parts of a node read before they start: how they are set up for a small machine and a short life."""

from pathlib import Path

ADDRESS = "10.250.0.1"  # of the node, on a bridge of its own
PEERS = "10.250.0.0/16"  # whatever runs beside the cluster has an address in here
PODS = "10.244.0.0/16"
SERVICES = "10.96.0.0/16"
FIRST_SERVICE = "10.96.0.1"  # the API server's own
BRIDGE = "pods"
PAUSE = "portcullis.test/pause:1"


def containerd(run: Path) -> str:
    return f"""\
version = 2
root = "{run}/containerd/root"
state = "{run}/containerd/state"

[grpc]
  address = "{run}/containerd.sock"

[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{PAUSE}"
  disable_apparmor = true
  # Lowering a process's score needs a right that root in a small virtual machine may lack; without it no sandbox starts.
  restrict_oom_score_adj = true

[plugins."io.containerd.grpc.v1.cri".cni]
  bin_dir = "/usr/lib/cni"
  conf_dir = "{run}/cni"

[plugins."io.containerd.grpc.v1.cri".containerd]
  snapshotter = "overlayfs"
  default_runtime_name = "runc"

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
  SystemdCgroup = false
"""


def network(run: Path) -> dict:
    """Pods on a bridge; no network policy is enforced by it."""
    addresses = {"type": "host-local", "dataDir": f"{run}/cni-addresses", "ranges": [[{"subnet": "10.244.0.0/24"}]], "routes": [{"dst": "0.0.0.0/0"}]}
    bridge = {"type": "bridge", "bridge": BRIDGE, "isGateway": True, "ipMasq": True, "hairpinMode": True, "ipam": addresses}
    return {"cniVersion": "0.4.0", "name": "pods", "plugins": [bridge, {"type": "portmap", "capabilities": {"portMappings": True}}]}


def kubelet(run: Path, authority: Path, serving: tuple[Path, Path], cgroup: str | None) -> dict:
    certificate, key = serving
    config = {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": ADDRESS,
        "readOnlyPort": 0,
        "containerRuntimeEndpoint": f"unix://{run}/containerd.sock",
        "podLogsDir": f"{run}/pod-logs",
        "volumePluginDir": f"{run}/volume-plugins",
        "authentication": {"anonymous": {"enabled": False}, "webhook": {"enabled": True}, "x509": {"clientCAFile": str(authority)}},
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": str(certificate),
        "tlsPrivateKeyFile": str(key),
        "clusterDomain": "cluster.local",
        # The machine may have either version of control groups, and is shared: evict for nothing, throttle nothing.
        "cgroupDriver": "cgroupfs",
        "failCgroupV1": False,
        "failSwapOn": False,
        "enforceNodeAllocatable": ["pods"],
        "localStorageCapacityIsolation": False,
        "evictionHard": {"memory.available": "100Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
        "imageGCHighThresholdPercent": 100,
        "configMapAndSecretChangeDetectionStrategy": "Watch",
        "syncFrequency": "5s",
        "nodeStatusUpdateFrequency": "5s",
    }
    if cgroup:
        config["cgroupRoot"] = cgroup
    return config


def kube_proxy(run: Path, kubeconfig: Path, node: str) -> dict:
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "nftables",
        "bindAddress": ADDRESS,
        "clusterCIDR": PODS,
        "hostnameOverride": node,
        "clientConnection": {"kubeconfig": str(kubeconfig)},
        # Limits of the kernel's connection tracking are the whole machine's, and not ours to set.
        "conntrack": {"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
        "healthzBindAddress": "127.0.0.1:10256",
        "metricsBindAddress": "127.0.0.1:10249",
    }
