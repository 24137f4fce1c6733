"""HashiCorp Vault, real and in memory (peers/vault), set up through its API as docs/keys.md tells an administrator to."""

import json
import ssl
from pathlib import Path

import httpx2
from cluster_identity import Authority
from peers import Peer

HOST = "127.0.0.6"
KEY = "portcullis"
ROLE = "portcullis"
AUDIENCE = "vault"
REVIEWER = "vault"
POLICY = "".join(f'path "transit/{verb}/{KEY}" {{ capabilities = ["update"] }}\n' for verb in ("encrypt", "decrypt"))


class Vault(Peer):
    """Over TLS, by an authority of its own. Whoever has `token` may encrypt and decrypt with the key, and no more."""

    def __init__(self, folder: Path, host: str = HOST):
        self.host = host
        super().__init__(folder, "vault")
        self.authority = Authority(folder / "authority", "the tests' Vault")
        self.tls = dict(zip(("certificate", "key"), self.authority.server("vault", self.host), strict=True))

    def argv(self):
        return ["vault", "-address", f"{self.host}:{self.port}", "-certificate", self.tls["certificate"], "-key", self.tls["key"]]

    def wait(self) -> None:
        super().wait()
        context = ssl.create_default_context(cafile=str(self.authority.file))
        self.http = httpx2.Client(base_url=f"{self.base}/v1/", verify=context, trust_env=False, timeout=30)
        made = self.ask("PUT", "sys/init", secret_shares=1, secret_threshold=1)
        self.share = made["keys"][0]
        self.http.headers["X-Vault-Token"] = made["root_token"]
        self.unseal()
        self.ask("POST", "sys/mounts/transit", type="transit")
        self.ask("POST", f"transit/keys/{KEY}")
        self.allow()
        self.token = self.ask("POST", "auth/token/create", policies=[KEY], no_default_policy=True)["auth"]["client_token"]

    def stop(self) -> None:
        self.http.close()
        super().stop()

    def ask(self, method: str, path: str, **given) -> dict:
        """What an administrator asks of it."""
        answer = self.http.request(method, path, json=given)
        if answer.status_code >= 400:
            raise RuntimeError(f"{method} {path}: {answer.status_code} {answer.text}")
        return json.loads(answer.text or "{}")

    def seal(self) -> None:
        self.ask("PUT", "sys/seal")

    def unseal(self) -> None:
        self.ask("PUT", "sys/unseal", key=self.share)

    def allow(self) -> None:
        self.ask("PUT", f"sys/policies/acl/{KEY}", policy=POLICY)

    def deny(self) -> None:
        self.ask("PUT", f"sys/policies/acl/{KEY}", policy=POLICY.replace("update", "deny"))

    def rotate(self) -> None:
        """Its own key."""
        self.ask("POST", f"transit/keys/{KEY}/rotate")

    def trust(self, cluster, namespace: str, *accounts: str) -> None:
        """Lets these service accounts in, without a stored token: it has their tokens reviewed by the cluster's API server."""
        for each in reviewer(namespace):
            cluster.api.apply(each, namespace)
        self.ask("POST", "sys/auth/kubernetes", type="kubernetes")
        ca, jwt = cluster.authority.file.read_text(), cluster.api.token(REVIEWER, namespace)
        self.ask("POST", "auth/kubernetes/config", kubernetes_host=cluster.server, kubernetes_ca_cert=ca, token_reviewer_jwt=jwt)
        bound = {"bound_service_account_names": accounts, "bound_service_account_namespaces": [namespace]}
        self.ask("POST", f"auth/kubernetes/role/{ROLE}", token_policies=[KEY], token_ttl="5m", audience=AUDIENCE, **bound)

    def arguments(self, *login) -> list:
        """What to say to whoever has its keys encrypted here."""
        return ["--keys-encryption", "transit", "--transit-address", self.base, "--transit-key", KEY, "--transit-ca", self.authority.file, *login]


def reviewer(namespace: str) -> list[dict]:
    """A service account that may have tokens reviewed."""
    subject = {"kind": "ServiceAccount", "name": REVIEWER, "namespace": namespace}
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "system:auth-delegator"}
    return [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": REVIEWER}},
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": "vault-reviews-tokens"},
            "roleRef": role,
            "subjects": [subject],
        },
    ]
