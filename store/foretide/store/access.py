"""What a client needs to get in: secrets in files, and whose certificates to trust."""

import errno
import ssl
from pathlib import Path

from .errors import StoreUnavailable


def read_secret(file: Path, *, reason: str, what: str) -> str:
    """The secret in a file; it is read at each use, so that it can be rotated.

    Raises:
        StoreUnavailable: there is none that a header can carry, for this `reason`.
    """
    try:
        text = file.read_text(encoding="utf-8").strip()
        # What a header cannot carry is found here: HTTP libraries show it in their error.
        if not (text and text.isascii() and text.isprintable()):
            raise OSError(errno.EINVAL, "holds no secret")
    except (OSError, UnicodeDecodeError):
        raise StoreUnavailable(reason, f"cannot read a {what} from {file}") from None
    return text


def trust(url: str, ca_file: Path | None) -> ssl.SSLContext | bool:
    """What the HTTP client is to verify certificates with.

    Raises:
        StoreUnavailable: the CA's file cannot be used.
    """
    if ca_file is None:
        # Loading the system's certificates costs some 100 ms, for nothing without TLS.
        return not url.lower().startswith("http:")
    try:
        return ssl.create_default_context(cafile=str(ca_file))
    except OSError:  # OpenSSL's errors name no file
        message = f"cannot read a CA certificate from {ca_file}"
        raise StoreUnavailable("CertificateMissing", message) from None
