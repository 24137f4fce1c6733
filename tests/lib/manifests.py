"""Manifests, as a folder that `portcullis serve` reads. One resource a file, named by kind and name."""

from pathlib import Path

import yaml

LOOPBACK = ["127.0.0.0/8"]


def resource(kind: str, name: str, spec: dict) -> dict:
    return {"apiVersion": "portcullis.dev/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec}


def gateway(public_url: str, *providers: dict, **spec) -> dict:
    tenancy = [{"namespaces": ["default"], "everyone": True, "privateNetworks": LOOPBACK}]
    return resource("McpGateway", "gateway", {"publicUrl": public_url, "identityProviders": list(providers), "tenancy": tenancy, **spec})


def oidc(issuer: str, *, name: str = "company", **more) -> dict:
    return {
        "name": name,
        "oidc": {
            "issuer": issuer,
            "clientId": "portcullis",
            "clientSecretRef": {"name": "idp", "key": "clientSecret"},
            "scopes": ["openid", "profile", "email", "groups"],
            **more,
        },
    }


def development(*users: dict, name: str = "development") -> dict:
    return {"name": name, "development": {"users": list(users)}}


def secret(name: str, *, hosts: str | None = None, **values: str) -> dict:
    metadata = {"name": name, "labels": {"portcullis.dev/credential": "true"}}
    if hosts:
        metadata["annotations"] = {"portcullis.dev/allowed-hosts": hosts}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": values}


def origin(name: str, url: str, auth: dict | None = None, **spec) -> dict:
    return resource("OriginMcp", name, {"displayName": name.title(), "url": url, "auth": auth or {"none": {}}, **spec})


USER_OAUTH = {"userOAuth": {"scopes": ["read"], "registration": {"auto": {}}}}


def virtual(name: str, origin: str, *, access: str = "Everyone", **spec) -> dict:
    return resource("VirtualMcp", name, {"displayName": name.title(), "origins": [{"name": origin}], "access": access, **spec})


def team(name: str, *access: dict, **members) -> dict:
    return resource("Team", name, {"displayName": name.title(), "members": members, "access": list(access)})


def several(*resources: dict) -> str:
    """One file of several."""
    return yaml.safe_dump_all(resources, sort_keys=False)


class Folder:
    """A folder of manifests that a test edits as a person would: file by file."""

    def __init__(self, path: Path, *resources: dict):
        self.path = Path(path)
        self.path.mkdir(parents=True, exist_ok=True)
        self.put(*resources)

    def file(self, resource: dict) -> Path:
        return self.path / f"{resource['kind'].lower()}-{resource['metadata']['name']}.yaml"

    def put(self, *resources: dict) -> None:
        for each in resources:
            self.write(self.file(each).name, yaml.safe_dump(each, sort_keys=False))

    def write(self, name: str, text: str) -> None:
        """Replaces a file in one step, as editors do."""
        draft = self.path / f".{name}.draft"
        draft.write_text(text)
        draft.rename(self.path / name)

    def remove(self, resource: dict) -> None:
        self.file(resource).unlink()
