"""The transit engine and the Kubernetes auth method of HashiCorp Vault and OpenBao, written from their API documentation: not the
real one, which is not to be had as a module. What a client of two endpoints meets is here: versioned AES-256-GCM keys and their
ciphertexts (`vault:vN:`), tokens with policies, namespaces, errors in their shape, sealing.

    python transit.py '{"host": "...", "port": 1, "log": "...", "token": "...", "key": "...", "role": "...", "jwt": "..."}'

POST /levers/sealed {"sealed": true}, /levers/denied {"denied": true} and /levers/rotate {} are for tests.
"""

import base64
import json
import os
import secrets
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

given = json.loads(sys.argv[1])
versions = [AESGCM(AESGCM.generate_key(256))]
tokens = {given["token"]}
state = {"sealed": False, "denied": False}


def encrypt(body: dict) -> tuple[int, dict]:
    try:
        plaintext = base64.b64decode(body["plaintext"], validate=True)
    except (KeyError, ValueError):
        return 400, {"errors": ["failed to base64-decode plaintext"]}
    nonce = os.urandom(12)
    sealed = base64.b64encode(nonce + versions[-1].encrypt(nonce, plaintext, None)).decode()
    return 200, {"data": {"ciphertext": f"vault:v{len(versions)}:{sealed}", "key_version": len(versions)}}


def decrypt(body: dict) -> tuple[int, dict]:
    try:
        vault, version, sealed = body["ciphertext"].split(":")
        envelope = base64.b64decode(sealed, validate=True)
        if vault != "vault":
            raise ValueError
        plaintext = versions[int(version.removeprefix("v")) - 1].decrypt(envelope[:12], envelope[12:], None)
    except (KeyError, ValueError, IndexError):
        return 400, {"errors": ["invalid ciphertext: no prefix"]}
    except InvalidTag:
        return 400, {"errors": ["cipher: message authentication failed"]}
    return 200, {"data": {"plaintext": base64.b64encode(plaintext).decode()}}


def login(body: dict) -> tuple[int, dict]:
    if body != {"role": given["role"], "jwt": given["jwt"]}:
        return 403, {"errors": ["permission denied"]}
    tokens.add(token := f"s.{secrets.token_urlsafe(18)}")
    return 200, {"auth": {"client_token": token, "accessor": "a", "policies": ["default"], "lease_duration": 2764800, "renewable": True}}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        raw = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = json.loads(raw or b"{}")
        status, answer = self.answered(body)
        with open(given["log"], "a") as log:
            log.write(json.dumps({"url": self.path, "status": status, "headers": dict(self.headers)}) + "\n")
        text = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def answered(self, body: dict) -> tuple[int, dict]:
        if self.path == "/levers/rotate":
            versions.append(AESGCM(AESGCM.generate_key(256)))
            return 200, {}
        if self.path.startswith("/levers/"):
            state.update(body)
            return 200, {}
        if state["sealed"]:
            return 503, {"errors": ["Vault is sealed"]}
        if self.path == "/v1/auth/kubernetes/login":
            return login(body)
        if self.headers.get("X-Vault-Token") not in tokens or state["denied"]:
            return 403, {"errors": ["1 error occurred:\n\t* permission denied\n\n"]}
        match self.path.split("/"):
            case ["", "v1", "transit", "encrypt", key] if key == given["key"]:
                return encrypt(body)
            case ["", "v1", "transit", "decrypt", key] if key == given["key"]:
                return decrypt(body)
        return 404, {"errors": [f'no handler for route "{self.path}". route entry not found.']}

    def log_message(self, *_):
        pass


ThreadingHTTPServer((given["host"], given["port"]), Handler).serve_forever()
