"""Who is who in the tests' Kubernetes: a certificate authority, the API server's certificate, client certificates, kubeconfigs."""

import base64
import datetime
import ipaddress
from pathlib import Path

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

DAY = datetime.timedelta(days=1)


class Authority:
    """A certificate authority in a folder: `ca.crt`, and what it has issued."""

    def __init__(self, folder: Path, name: str = "the tests' Kubernetes"):
        self.folder = folder
        folder.mkdir(parents=True)
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
        self.certificate = (
            self._builder(self.name, self.key)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(usage, critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(self.key.public_key()), critical=False)
            .sign(self.key, hashes.SHA256())
        )
        self.file = folder / "ca.crt"
        self.file.write_bytes(self.certificate.public_bytes(serialization.Encoding.PEM))

    def _builder(self, subject: x509.Name, key) -> x509.CertificateBuilder:
        now = datetime.datetime.now(datetime.UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self.name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - DAY)
            .not_valid_after(now + 7 * DAY)
        )

    def server(self, name: str, *addresses: str) -> tuple[Path, Path]:
        """A certificate and key for a server at these addresses and at `localhost`."""
        names = [x509.IPAddress(ipaddress.ip_address(each)) for each in addresses] + [x509.DNSName("localhost")]
        alternatives = x509.SubjectAlternativeName(names)
        return self._issue(name, name, (), ExtendedKeyUsageOID.SERVER_AUTH, alternatives)

    def client(self, user: str, *groups: str) -> tuple[Path, Path]:
        """A certificate and key that authenticate this user, in these groups."""
        return self._issue(f"user-{user}", user, groups, ExtendedKeyUsageOID.CLIENT_AUTH, None)

    def _issue(self, file: str, common_name: str, organizations, usage, alternatives) -> tuple[Path, Path]:
        key = ec.generate_private_key(ec.SECP256R1())
        attributes = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, each) for each in organizations]
        subject = x509.Name([*attributes, x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
        builder = self._builder(subject, key).add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        if alternatives:
            builder = builder.add_extension(alternatives, critical=False)
        certificate = self.folder / f"{file.replace(':', '-')}.crt"
        certificate.write_bytes(builder.sign(self.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
        return certificate, private(certificate.with_suffix(".key"), key)


def private(file: Path, key) -> Path:
    """Writes a private key as PEM that its owner alone can read."""
    file.touch(mode=0o600)
    encryption = serialization.NoEncryption()
    file.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption))
    return file


def signing_key(folder: Path) -> tuple[Path, Path]:
    """The pair with which the API server signs and verifies the tokens of service accounts: private, public."""
    key = ec.generate_private_key(ec.SECP256R1())
    public = folder / "service-accounts.pub"
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    public.write_bytes(key.public_key().public_bytes(serialization.Encoding.PEM, form))
    return private(folder / "service-accounts.key", key), public


def kubeconfig(file: Path, server: str, authority: Path, user: dict, namespace: str = "default") -> Path:
    """Writes a kubeconfig; `user` is its credential, as kubeconfigs spell it."""
    trust = base64.b64encode(authority.read_bytes()).decode()
    context = {"cluster": "test", "user": "test", "namespace": namespace}
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "test", "cluster": {"server": server, "certificate-authority-data": trust}}],
        "users": [{"name": "test", "user": user}],
        "contexts": [{"name": "test", "context": context}],
        "current-context": "test",
    }
    file.touch(mode=0o600)
    file.write_text(yaml.safe_dump(content, sort_keys=False))
    return file


def by_certificate(certificate: Path, key: Path) -> dict:
    return {"client-certificate": str(certificate), "client-key": str(key)}
