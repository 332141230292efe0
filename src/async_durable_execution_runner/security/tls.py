"""TLS: what callers and the coordinator demand of each other's certificates, and show of their own.

Nothing of gRPC is imported before a channel is opened.
"""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from ..errors import InvalidConfiguration
from ..rpc import OPTIONS
from .files import content

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Tls:
    """A caller's side of TLS, as texts in PEM."""

    #: The authorities of which one must have signed the coordinator's certificate.
    ca: str
    #: The caller's own certificate, with those between it and the coordinator's authority, and its
    #: key; both are "" where a token says who calls.
    certificate: str = ""
    key: str = ""

    @classmethod
    def read(cls, ca_file: str, cert_file: str = "", key_file: str = "") -> Tls:
        """Read the files.

        Args:
            ca_file: Where the authorities are.
            cert_file: Where the caller's own certificate is; "" for none.
            key_file: Where its key is.

        Raises:
            InvalidConfiguration: A file cannot be read, or only one of certificate and key is
                given.
        """
        if bool(cert_file) != bool(key_file):
            given, missing = ("certificate", "key") if cert_file else ("key", "certificate")
            raise InvalidConfiguration(f"A {given} was given without its {missing}: give both.")
        certificate = pem(cert_file, "CERTIFICATE") if cert_file else ""
        return cls(pem(ca_file, "CERTIFICATE"), certificate, key_file and pem(key_file, "KEY"))

    def without_own(self) -> Tls:
        """Return what another process may have, which is not to speak for this one."""
        return Tls(self.ca)


def pem(path: str | Path, kind: str) -> str:
    """Return the text of a file in PEM that has a part of a kind, "CERTIFICATE" or "KEY".

    Raises:
        InvalidConfiguration: The file cannot be read, or has no such part.
    """
    try:
        text = content(path).decode("ascii")
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not in PEM"
        raise InvalidConfiguration(f"{path} cannot be read: {why}.") from None
    if not any(line.endswith(f"{kind}-----") for line in text.splitlines()):
        what = "certificate" if kind == "CERTIFICATE" else "private key"
        raise InvalidConfiguration(f"{path} holds no {what} in PEM.")
    return text


#: Why a handshake fails, by what gRPC says of it.
_HANDSHAKES = {
    "certificate has expired": "its certificate has expired",
    "certificate is not yet valid": "its certificate is not good yet, by the clock here",
    "CERTIFICATE_VERIFY_FAILED": "its certificate is not signed by an authority of the --ca-file",
    "signature failure": "its certificate is not signed by an authority of the --ca-file",
    "Hostname Verification Check failed": "its certificate is for other names and addresses",
    "WRONG_VERSION_NUMBER": "it does not speak TLS",
    "Socket closed": "it closed the connection, as where it speaks TLS and the caller does not, or "
    "where the caller's certificate is missing, has expired, or is not of its authority",
}


def why_not(said: str) -> str:
    """Return why no connection came about, from what gRPC says; that itself where it is not TLS."""
    return next((why for text, why in _HANDSHAKES.items() if text in said), said)


def open_channel(kind: ModuleType, address: str, tls: Tls | None) -> Any:
    """Open a channel to a coordinator.

    Args:
        kind: The module `grpc`, or `grpc.aio` for a channel of the running loop.
        address: The address as gRPC wants it.
        tls: None for a channel in plaintext.
    """
    if tls is None:
        return kind.insecure_channel(address, options=OPTIONS)
    import grpc

    own = [text.encode() if text else None for text in (tls.key, tls.certificate)]
    credentials = grpc.ssl_channel_credentials(tls.ca.encode(), *own)
    return kind.secure_channel(address, credentials, options=OPTIONS)


@dataclass(frozen=True, slots=True)
class ServerTls:
    """The coordinator's side of TLS: paths of files, which may change while it serves."""

    cert_file: str
    key_file: str
    #: The authorities that sign callers' certificates; "" where callers need to have none.
    client_ca_file: str = ""

    @classmethod
    def read(cls, cert_file: str, key_file: str, client_ca_file: str) -> ServerTls:
        """Check the files.

        Args:
            cert_file: Where the certificate is, with those between it and its authority.
            key_file: Where its key is.
            client_ca_file: Where the authorities are that sign callers' certificates; "" for none.

        Raises:
            InvalidConfiguration: A file is missing, or is not what it should be.
        """
        if not (cert_file and key_file):
            raise InvalidConfiguration("TLS needs both --cert-file and --key-file.")
        made = cls(cert_file, key_file, client_ca_file)
        made._configuration()
        return made

    @property
    def demands_certificates(self) -> bool:
        return bool(self.client_ca_file)

    def for_anyone(self) -> ServerTls:
        """Return the same for callers without a certificate."""
        return ServerTls(self.cert_file, self.key_file)

    def credentials(self) -> Any:
        """Return what gRPC's server needs. It takes the files as they are at each handshake, once
        they have changed and are whole."""
        import grpc

        made_of = self._times()

        def fetch() -> Any:
            nonlocal made_of
            try:
                now = self._times()
                if now == made_of:
                    return None
                configuration = self._configuration()
            except (InvalidConfiguration, OSError) as error:
                _logger.warning("%s and its key are not taken anew: %s", self.cert_file, error)
                return None
            made_of = now
            return configuration

        return grpc.dynamic_ssl_server_credentials(
            self._configuration(), fetch, self.demands_certificates
        )

    def _times(self) -> list[int]:
        paths = filter(None, (self.cert_file, self.key_file, self.client_ca_file))
        return [os.stat(path).st_mtime_ns for path in paths]

    def _configuration(self) -> Any:
        # It takes 20 ms to import, which nobody without TLS waits for.
        import ssl

        import grpc

        pair = pem(self.key_file, "KEY").encode(), pem(self.cert_file, "CERTIFICATE").encode()
        ca = pem(self.client_ca_file, "CERTIFICATE").encode() if self.client_ca_file else None
        # gRPC does not say what is wrong with a pair.
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(self.cert_file, self.key_file)
        except (ssl.SSLError, OSError) as error:
            raise InvalidConfiguration(
                f"{self.cert_file} and {self.key_file} are not a certificate and its key: {error}."
            ) from None
        return grpc.ssl_server_certificate_configuration([pair], ca)
