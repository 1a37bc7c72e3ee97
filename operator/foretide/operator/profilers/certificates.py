"""Certificates of the webhook: an authority of our own, made anew long before it runs out.

Keys never leave the operator's memory; the API server is told of the authority.
"""

import ipaddress
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

# Seconds. Clocks of the API server and of ours may differ a little.
LIFETIME = 90 * 86_400.0
RENEW_BEFORE = 30 * 86_400.0
_BACKDATED = 3_600.0


@dataclass(frozen=True, slots=True)
class Certificates:
    """In PEM: the authority, the server's certificate and its key. Times in Unix seconds."""

    authority: str
    certificate: str
    key: str
    host: str
    ends: float

    def is_due(self, host: str, now: float) -> bool:
        """Whether others are needed: for another host, or soon."""
        return host != self.host or now > self.ends - RENEW_BEFORE


def make(host: str, now: float) -> Certificates:
    """A fresh authority, and a server's certificate for a name or an address."""
    begins = datetime.fromtimestamp(now - _BACKDATED, UTC)
    ends = datetime.fromtimestamp(now, UTC) + timedelta(seconds=LIFETIME)
    authority_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    # Of authorities that share a name not every library tries all.
    issuer = _named(f"foretide-webhook-ca-{secrets.token_hex(4)}")
    authority = (
        _builder(issuer, issuer, authority_key.public_key(), begins, ends)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(authority_key, hashes.SHA256())
    )
    certificate = (
        _builder(_named(host[:64]), issuer, key.public_key(), begins, ends)
        .add_extension(x509.SubjectAlternativeName([_alternative(host)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return Certificates(_pem(authority), _pem(certificate), private.decode(), host, now + LIFETIME)


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePublicKey,
    begins: datetime,
    ends: datetime,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins)
        .not_valid_after(ends)
    )


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _alternative(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()
