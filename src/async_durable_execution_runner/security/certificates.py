"""A small certificate authority, for a team to begin with TLS between machines.

This needs the package `cryptography`, which the extra `certificates` brings.
"""

from __future__ import annotations

import ipaddress
import os
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from ..errors import InvalidConfiguration
from .credentials import CERTIFIED, Role

try:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
except ImportError:
    raise InvalidConfiguration(
        "Certificates are made by the package cryptography, which is not installed: "
        'pip install "async-durable-execution-runner[certificates]"'
    ) from None

#: A clock that is a little behind must not take a new certificate for one of the future.
_EARLIER = timedelta(minutes=5)
_ROLES = {role: name.decode() for name, role in CERTIFIED.items()}


@dataclass(frozen=True, slots=True)
class _Pair:
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey


def write(folder: Path, hosts: Sequence[str], validity: timedelta) -> Iterator[tuple[Path, str]]:
    """Write an authority, three certificates and two tokens into a folder, and yield the path of
    each file with what it is.

    Args:
        folder: The folder, which is made, and must be empty.
        hosts: The names and addresses by which the coordinator is called.
        validity: How long the certificates are good.

    Raises:
        InvalidConfiguration: The folder is not empty, or cannot be written to.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise InvalidConfiguration(
                f"{folder} is not empty: name another folder, as nothing is written over."
            )
        yield from _write_all(folder, hosts, validity)
    except OSError as error:
        raise InvalidConfiguration(f"{folder} cannot be written to: {error.strerror}.") from None


def _write_all(
    folder: Path, hosts: Sequence[str], validity: timedelta
) -> Iterator[tuple[Path, str]]:
    authority = _authority(validity)
    yield _public(folder / "ca.pem", authority), "the authority, for everybody: --ca-file"
    key = _secret(folder / "ca.key", _key_text(authority))
    yield key, "its key, which signs further certificates: keep it off these machines"
    for name, role, names in (
        ("coordinator", Role.NOBODY, [_name(each) for each in hosts]),
        ("client", Role.CLIENT, [x509.UniformResourceIdentifier(_ROLES[Role.CLIENT])]),
        (
            "worker-host",
            Role.WORKER_HOST,
            [x509.UniformResourceIdentifier(_ROLES[Role.WORKER_HOST])],
        ),
    ):
        pair = _signed(authority, name, names, validity, server=role is Role.NOBODY)
        whose = f"the {name}'s"
        yield _public(folder / f"{name}.pem", pair), f"{whose} certificate: --cert-file"
        yield _secret(folder / f"{name}.key", _key_text(pair)), f"{whose} key: --key-file"
    for name in ("client", "worker-host"):
        token = f"{secrets.token_urlsafe(32)}\n".encode()
        path = _secret(folder / f"{name}.token", token)
        yield path, f"a token that {name}s may bring in place of a certificate"


def _authority(validity: timedelta) -> _Pair:
    key = ec.generate_private_key(ec.SECP256R1())
    # Where two authorities have one name, what the second has signed is held against the first.
    name = _subject(f"durable-runner authority {secrets.token_hex(4)}")
    builder = _builder(name, name, key, validity).add_extension(
        x509.BasicConstraints(ca=True, path_length=0), critical=True
    )
    usage = _usage(key_cert_sign=True, crl_sign=True)
    return _Pair(builder.add_extension(usage, critical=True).sign(key, hashes.SHA256()), key)


def _signed(
    authority: _Pair,
    name: str,
    names: Sequence[x509.GeneralName],
    validity: timedelta,
    *,
    server: bool,
) -> _Pair:
    key = ec.generate_private_key(ec.SECP256R1())
    issuer = authority.certificate.subject
    usage = ExtendedKeyUsageOID.SERVER_AUTH if server else ExtendedKeyUsageOID.CLIENT_AUTH
    builder = (
        _builder(_subject(name), issuer, key, validity)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        .add_extension(_usage(digital_signature=True), critical=True)
    )
    return _Pair(builder.sign(authority.key, hashes.SHA256()), key)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, validity: timedelta
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _EARLIER)
        .not_valid_after(now + validity)
    )


def _usage(**given: bool) -> x509.KeyUsage:
    names = (
        "digital_signature",
        "content_commitment",
        "key_encipherment",
        "data_encipherment",
        "key_agreement",
        "key_cert_sign",
        "crl_sign",
        "encipher_only",
        "decipher_only",
    )
    return x509.KeyUsage(**{name: given.get(name, False) for name in names})


def _subject(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        pass
    try:
        return x509.DNSName(host)
    except ValueError:
        raise InvalidConfiguration(
            f"{host!r} is no host's name in ASCII, nor an address."
        ) from None


def _key_text(pair: _Pair) -> bytes:
    return pair.key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def _public(path: Path, pair: _Pair) -> Path:
    path.write_bytes(pair.certificate.public_bytes(serialization.Encoding.PEM))
    return path


def _secret(path: Path, text: bytes) -> Path:
    # Nobody else may read the file at any moment.
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(text)
    return path
