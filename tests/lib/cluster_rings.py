"""The key rings of a cluster, of a `ClusterWorld`."""

import base64
import json

import httpx2
from cluster_parts import PUBLICATION

SECRET = "portcullis-keys"


def stored(world) -> dict:
    return json.loads(base64.b64decode(world.api.get("Secret", SECRET, PUBLICATION)["data"]["keys.json"]))


def put(world, document: dict) -> None:
    data = {"keys.json": base64.b64encode(json.dumps(document).encode()).decode()}
    world.api.merge("Secret", SECRET, {"data": data}, PUBLICATION)


def ask(world, value: str) -> None:
    world.api.merge("McpGateway", "gateway", {"metadata": {"annotations": {"portcullis.dev/rotate-keys": value}}})


def published(replica) -> list[str]:
    return [key["kid"] for key in httpx2.get(f"http://127.0.0.1:{replica.port}/oauth/jwks", headers={"Host": replica.public_url[7:]}, trust_env=False).json()["keys"]]
