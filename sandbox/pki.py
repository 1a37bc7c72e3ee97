"""Certificates of one sandbox: one authority, and a pair for each identity."""

import ipaddress
import json
from base64 import b64encode
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from sandbox.layout import write_private
from sandbox.node import NODE_NAME
from sandbox.node.addresses import Addresses

# A sandbox lives for hours; a clock that is set back a little must not break it.
BACKDATED = timedelta(hours=1)
LIFETIME = timedelta(days=365)

SERVER_NAMES = (
    "localhost",
    "kubernetes",
    "kubernetes.default",
    "kubernetes.default.svc",
    "external-metrics.kube-system.svc",
)


@dataclass(frozen=True)
class Identity:
    """Who a client certificate says that it is: `groups` become Kubernetes groups."""

    name: str
    user: str
    groups: tuple[str, ...] = ()


IDENTITIES = (
    Identity("admin", "sandbox-admin", ("system:masters",)),
    Identity("kwok", "kwok", ("system:masters",)),
    # Not one service account per controller, as in production: twenty tokens before it can begin.
    Identity("kube-controller-manager", "system:kube-controller-manager", ("system:masters",)),
    Identity("kube-scheduler", "system:kube-scheduler"),
    Identity("front-proxy", "front-proxy-client"),
    Identity("etcd-client", "etcd-client"),
)


# Those of a real node, beside them.
NODE_IDENTITIES = (
    Identity("kubelet", f"system:node:{NODE_NAME}", ("system:nodes",)),
    Identity("kube-proxy", "system:kube-proxy"),
    # With which the API server comes to the kubelet.
    Identity("kubelet-client", "kube-apiserver-kubelet-client", ("system:masters",)),
)


class Authority:
    """A certificate authority that writes its pairs into one folder as NAME.crt and NAME.key."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _distinguished("foretide-sandbox-ca")
        certificate = (
            self._builder(self._name, self._key)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(signs_certificates=True), critical=True)
            .sign(self._key, hashes.SHA256())
        )
        write_private(folder / "ca.crt", _pem(certificate))

    def issue_client(self, identity: Identity) -> None:
        """A pair with which `identity` authenticates."""
        subject = _distinguished(identity.user, *identity.groups)
        self._issue(identity.name, subject, [ExtendedKeyUsageOID.CLIENT_AUTH])

    def issue_server(self, name: str, *addresses: str) -> None:
        """A pair for servers on loopback, and on `addresses`."""
        alternatives: list[x509.GeneralName] = [x509.DNSName(host) for host in SERVER_NAMES]
        every = ("127.0.0.1", *addresses)
        alternatives += [x509.IPAddress(ipaddress.ip_address(address)) for address in every]
        purposes = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
        self._issue(name, _distinguished(name), purposes, alternatives)

    def _issue(
        self,
        name: str,
        subject: x509.Name,
        purposes: list[x509.ObjectIdentifier],
        alternatives: list[x509.GeneralName] | None = None,
    ) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        builder = (
            self._builder(subject, key)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(signs_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
        )
        if alternatives:
            builder = builder.add_extension(
                x509.SubjectAlternativeName(alternatives), critical=False
            )
        write_private(self._folder / f"{name}.crt", _pem(builder.sign(self._key, hashes.SHA256())))
        write_private(self._folder / f"{name}.key", _private_pem(key))

    def _builder(
        self, subject: x509.Name, key: ec.EllipticCurvePrivateKey
    ) -> x509.CertificateBuilder:
        now = datetime.now(UTC)
        authority_key = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - BACKDATED)
            .not_valid_after(now + LIFETIME)
            .add_extension(
                x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False
            )
            .add_extension(authority_key, critical=False)
        )


def write_pki(folder: Path, node: Addresses | None = None) -> None:
    """All certificates of a sandbox, and the key that signs service account tokens."""
    folder.mkdir(mode=0o700, exist_ok=True)
    authority = Authority(folder)
    for identity in IDENTITIES:
        authority.issue_client(identity)
    if node is None:
        authority.issue_server("server")
    else:
        authority.issue_server("server", node.host, node.api_service)
        authority.issue_server("kubelet-server", node.node)
        for identity in NODE_IDENTITIES:
            authority.issue_client(identity)
    key = ec.generate_private_key(ec.SECP256R1())
    write_private(folder / "service-account.key", _private_pem(key))
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    write_private(folder / "service-account.pub", public.decode())


def kubeconfig(pki: Path, identity: str, server: str) -> str:
    """A self-contained kubeconfig (as JSON, which is YAML too) for one identity."""
    context = {"cluster": "sandbox", "user": identity, "namespace": "default"}
    return json.dumps(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [
                {
                    "name": "sandbox",
                    "cluster": {
                        "server": server,
                        "certificate-authority-data": encoded(pki / "ca.crt"),
                    },
                }
            ],
            "users": [
                {
                    "name": identity,
                    "user": {
                        "client-certificate-data": encoded(pki / f"{identity}.crt"),
                        "client-key-data": encoded(pki / f"{identity}.key"),
                    },
                }
            ],
            "contexts": [{"name": "sandbox", "context": context}],
            "current-context": "sandbox",
        },
        indent=2,
    )


def encoded(path: Path) -> str:
    """A file's content in base64, as Kubernetes embeds it."""
    return b64encode(path.read_bytes()).decode()


def _distinguished(common_name: str, *organizations: str) -> x509.Name:
    attributes = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, o) for o in organizations]
    return x509.Name([*attributes, x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def _private_pem(key: ec.EllipticCurvePrivateKey) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    ).decode()
