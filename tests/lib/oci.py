"""Images without an engine: a folder as the one layer of an OCI image layout, in a tar that containerd imports."""

import hashlib
import io
import json
import platform
import tarfile
from pathlib import Path

ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


class Layout:
    """The blobs of an image layout, each under its digest."""

    def __init__(self):
        self.blobs: dict[str, bytes] = {}

    def add(self, media_type: str, blob: bytes) -> dict:
        digest = f"sha256:{hashlib.sha256(blob).hexdigest()}"
        self.blobs[digest] = blob
        return {"mediaType": f"application/vnd.oci.image.{media_type}", "digest": digest, "size": len(blob)}

    def add_json(self, media_type: str, value: dict) -> dict:
        return self.add(media_type, json.dumps(value).encode())


def image(file: Path, name: str, root: Path, entrypoint: list[str], user: str = "65532:65532") -> Path:
    """Writes the image `name` (with its tag) of everything below `root`, whose files will be root's."""
    architecture = ARCHITECTURES[platform.machine()]
    layout = Layout()
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        tar.add(root, arcname=".", filter=of_root)
    layer = layout.add("layer.v1.tar", packed.getvalue())
    config = {
        "architecture": architecture,
        "os": "linux",
        "config": {"Entrypoint": entrypoint, "User": user},
        "rootfs": {"type": "layers", "diff_ids": [layer["digest"]]},
    }
    manifest = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": layout.add_json("config.v1+json", config),
        "layers": [layer],
    }
    described = layout.add_json("manifest.v1+json", manifest)
    described["platform"] = {"architecture": architecture, "os": "linux"}
    described["annotations"] = {"io.containerd.image.name": name, "org.opencontainers.image.ref.name": name.rpartition(":")[2]}
    index = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": [described]}
    with tarfile.open(file, "w") as tar:
        put(tar, "oci-layout", json.dumps({"imageLayoutVersion": "1.0.0"}).encode())
        put(tar, "index.json", json.dumps(index).encode())
        for digest, blob in layout.blobs.items():
            put(tar, f"blobs/{digest.replace(':', '/')}", blob)
    return file


def of_root(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid = entry.gid = entry.mtime = 0
    entry.uname = entry.gname = ""
    return entry


def put(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    tar.addfile(entry, io.BytesIO(content))
