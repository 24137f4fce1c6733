"""The web sites of the network that `./internet` makes: https at public addresses, under a certificate that only these tests trust."""

import datetime
import http.server
import json
import ssl
import threading
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

HOSTS = Path(__file__).with_name("hosts")
PORT = 443


def names() -> list[str]:
    return [name for line in HOSTS.read_text().splitlines() for name in line.split()[1:] if name != "localhost"]


class Web:
    """Answers for every name of `hosts`. `pages` holds bodies by URL; what is not there is a 404."""

    def __init__(self, folder: Path):
        self.pages: dict[str, tuple[int, dict[str, str], bytes]] = {}
        self.asked: list[str] = []
        self.trust = folder / "trusted.pem"
        chain = folder / "site.pem"
        certify(self.trust, chain, names())
        try:
            self.server = http.server.ThreadingHTTPServer(("0.0.0.0", PORT), self._handler())
        except OSError as refused:
            pytest.exit(f"port {PORT} cannot be had ({refused}): run tests of this suite as ./tests/oauth/internet pytest …", returncode=1)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(chain)
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def put(self, url: str, document: object, *, status: int = 200, **headers: str) -> str:
        body = document if isinstance(document, bytes) else json.dumps(document).encode()
        self.pages[url] = (status, {"Content-Type": "application/json", **headers}, body)
        return url

    def _handler(web):  # noqa: N805
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                url = f"https://{self.headers['Host']}{self.path}"
                web.asked.append(url)
                status, headers, body = web.pages.get(url, (404, {}, b""))
                self.send_response(status)
                for name, value in {**headers, "Content-Length": str(len(body))}.items():
                    self.send_header(name.replace("_", "-"), value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        return Handler

    def close(self):
        self.server.shutdown()
        self.server.server_close()


def certify(trust: Path, chain: Path, hosts: list[str]) -> None:
    """Writes a new authority's certificate, and a site's with its key that the authority has signed."""
    now = datetime.datetime.now(datetime.UTC)

    def certificate(name: str, key, issuer: str, signer, *extensions) -> x509.Certificate:
        subject, by = (x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, each)]) for each in (name, issuer))
        builder = x509.CertificateBuilder().subject_name(subject).issuer_name(by).public_key(key.public_key())
        builder = builder.serial_number(x509.random_serial_number())
        builder = builder.not_valid_before(now - datetime.timedelta(hours=1)).not_valid_after(now + datetime.timedelta(days=1))
        for extension, critical in extensions:
            builder = builder.add_extension(extension, critical)
        return builder.sign(signer, hashes.SHA256())

    authority, site = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    root = certificate("tests", authority, "tests", authority, (x509.BasicConstraints(ca=True, path_length=0), True))
    leaf = certificate(
        hosts[0], site, "tests", authority,
        (x509.BasicConstraints(ca=False, path_length=None), True),
        (x509.SubjectAlternativeName([x509.DNSName(host) for host in hosts]), False),
        (x509.ExtendedKeyUsage([x509.ExtendedKeyUsageOID.SERVER_AUTH]), False),
    )  # fmt: skip
    pem = serialization.Encoding.PEM
    trust.write_bytes(root.public_bytes(pem))
    key = site.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    chain.write_bytes(leaf.public_bytes(pem) + key)
