"""The TLS of the HTTP port, from tls_server_config: Go's names for what Python's ssl calls otherwise."""

from __future__ import annotations

import contextlib
import ipaddress
import os
import ssl
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from sflow_gmetrics.config_check import unknown_key
from sflow_gmetrics.errors import ConfigError

from .web_config import TlsConfig

PLACE = "tls_server_config"
VERSIONS = {
    "TLS10": ssl.TLSVersion.TLSv1,
    "TLS11": ssl.TLSVersion.TLSv1_1,
    "TLS12": ssl.TLSVersion.TLSv1_2,
    "TLS13": ssl.TLSVersion.TLSv1_3,
}
CLIENT_AUTH = {
    "NoClientCert": ssl.CERT_NONE,
    "RequestClientCert": ssl.CERT_OPTIONAL,
    "RequireAnyClientCert": ssl.CERT_REQUIRED,
    "RequireClientCert": ssl.CERT_REQUIRED,
    "VerifyClientCertIfGiven": ssl.CERT_OPTIONAL,
    "RequireAndVerifyClientCert": ssl.CERT_REQUIRED,
}
"""Python's ssl verifies each certificate that it asks for: where Go would take any, ours is stricter."""
CURVES = {"CurveP256": "prime256v1", "CurveP384": "secp384r1", "CurveP521": "secp521r1", "X25519": "X25519"}
SUITES = tuple(
    """
    TLS_AES_128_GCM_SHA256 TLS_AES_256_GCM_SHA384 TLS_CHACHA20_POLY1305_SHA256
    TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA
    TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA
    TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256 TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384
    TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256 TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384
    TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256 TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256
    TLS_RSA_WITH_AES_128_CBC_SHA TLS_RSA_WITH_AES_256_CBC_SHA
    TLS_RSA_WITH_AES_128_GCM_SHA256 TLS_RSA_WITH_AES_256_GCM_SHA384
    """.split()
)
"""Go's crypto/tls.CipherSuites(). Those without _WITH_ are TLS 1.3's, which are always on, as in Go."""


def tls_context(config: TlsConfig, directory: Path) -> ssl.SSLContext | None:
    """What connections are encrypted with, None without TLS. Raises ConfigError, OSError."""
    if config == TlsConfig():
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_alpn_protocols(["http/1.1"])
    _set_versions(context, config)
    _set_ciphers(context, config)
    _load_certificate(context, config, directory)
    _set_clients(context, config, directory)
    return context


def _known(value: str, key: str, known: Mapping[str, Any]) -> Any:
    if value not in known:
        raise ConfigError(unknown_key(value, f"{PLACE}.{key}: {value}", list(known)))
    return known[value]


def _set_versions(context: ssl.SSLContext, config: TlsConfig) -> None:
    least = _known(config.min_version, "min_version", VERSIONS)
    most = _known(config.max_version, "max_version", VERSIONS)
    if least > most:
        raise ConfigError(f"{PLACE}.max_version: {config.max_version} is before min_version {config.min_version}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # the operator wants the old ones
        context.minimum_version, context.maximum_version = least, most


def _set_ciphers(context: ssl.SSLContext, config: TlsConfig) -> None:
    suites = dict.fromkeys(SUITES)
    for name in config.cipher_suites:
        _known(name, "cipher_suites", suites)
    older = [openssl_name(name) for name in config.cipher_suites if "_WITH_" in name]
    try:
        if older:
            context.set_ciphers(":".join(older))
        elif config.cipher_suites:  # only those of TLS 1.3: nothing is left to speak for the older ones
            context.minimum_version = ssl.TLSVersion.TLSv1_3
    except (ssl.SSLError, ValueError) as error:
        raise ConfigError(f"{PLACE}.cipher_suites: {error}") from None
    if config.prefer_server_cipher_suites:
        context.options |= ssl.OP_CIPHER_SERVER_PREFERENCE
    else:
        context.options &= ~ssl.OP_CIPHER_SERVER_PREFERENCE
    if len(config.curve_preferences) > 1:
        raise ConfigError(f"{PLACE}.curve_preferences: Python can be told one curve only; without any, all good ones")
    for name in config.curve_preferences:
        context.set_ecdh_curve(_known(name, "curve_preferences", CURVES))


def openssl_name(suite: str) -> str:
    """What OpenSSL calls a suite of TLS 1.2 that has this name in the standard (and in Go)."""
    exchange, _, cipher = suite.removeprefix("TLS_").partition("_WITH_")
    cipher = cipher.replace("AES_", "AES").replace("CHACHA20_POLY1305_SHA256", "CHACHA20_POLY1305").replace("_CBC", "")
    return "-".join(([] if exchange == "RSA" else [exchange]) + [cipher]).replace("_", "-")


@contextlib.contextmanager
def _as_file(text: str, name: str, directory: Path, key: str) -> Iterator[str]:
    """The path of a PEM text, which stands in the configuration itself or in a file."""
    if text and name:
        raise ConfigError(f"{PLACE}: either {key} or {key}_file, not both")
    if name:
        yield str(directory / name)
        return
    descriptor = os.memfd_create(key)  # ssl wants a path, and a key should not come to a disk
    try:
        os.write(descriptor, text.encode())
        yield f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)


def _load_certificate(context: ssl.SSLContext, config: TlsConfig, directory: Path) -> None:
    for key in ("cert", "key"):
        if not getattr(config, key) and not getattr(config, f"{key}_file"):
            raise ConfigError(f"{PLACE} needs {key}_file (or {key}, the PEM text itself)")
    _check_readable(config, directory)
    asked: list[bool] = []

    def no_passphrase() -> bytes:
        asked.append(True)
        return b""

    with (
        _as_file(config.cert, config.cert_file, directory, "cert") as cert,
        _as_file(config.key, config.key_file, directory, "key") as key,
    ):
        try:
            context.load_cert_chain(cert, key, password=no_passphrase)
        except ssl.SSLError as error:
            reason = "no certificate and key in PEM, as in -----BEGIN CERTIFICATE-----"
            if error.reason == "KEY_VALUES_MISMATCH":
                reason = "the key is not that of the certificate"
            elif asked:
                reason = "a key with a passphrase cannot be used"
            shown = config.cert_file or "cert", config.key_file or "key"
            raise ConfigError(f"{PLACE}: {shown[0]} with {shown[1]}: {reason}") from None


def _check_readable(config: TlsConfig, directory: Path) -> None:
    for key in ("cert_file", "key_file", "client_ca_file"):
        name = getattr(config, key)
        if name:
            try:
                (directory / name).read_bytes()
            except OSError as error:
                raise ConfigError(f"{PLACE}.{key}: {directory / name}: {error.strerror}") from None


def _set_clients(context: ssl.SSLContext, config: TlsConfig, directory: Path) -> None:
    kind = config.client_auth_type or "NoClientCert"
    mode = _known(kind, "client_auth_type", CLIENT_AUTH)
    authority = config.client_ca or config.client_ca_file
    if mode == ssl.CERT_NONE and authority:
        raise ConfigError(f"{PLACE}: a client_ca_file needs client_auth_type, as in RequireAndVerifyClientCert")
    if config.client_allowed_sans and mode != ssl.CERT_REQUIRED:
        raise ConfigError(f"{PLACE}.client_allowed_sans needs client_auth_type RequireAndVerifyClientCert")
    if not authority:
        if mode != ssl.CERT_NONE and kind != "RequestClientCert":  # which asks, and takes whatever comes, also nothing
            raise ConfigError(f"{PLACE}.client_auth_type: {kind} needs client_ca_file: certificates are verified here")
        return
    with _as_file(config.client_ca, config.client_ca_file, directory, "client_ca") as path:
        try:
            context.load_verify_locations(path)
        except ssl.SSLError as error:
            raise ConfigError(f"{PLACE}.client_ca_file: no certificate in PEM: {error.reason}") from None
    context.verify_mode = mode


def has_allowed_san(certificate: Mapping[str, Any] | None, allowed: frozenset[str]) -> bool:
    """Whether one of the names, addresses or URIs of a client's certificate is among those allowed."""
    names = (certificate or {}).get("subjectAltName", ())
    return any((_plain_address(value) if kind == "IP Address" else value) in allowed for kind, value in names)


def _plain_address(text: str) -> str:
    with contextlib.suppress(ValueError):
        return str(ipaddress.ip_address(text.strip()))
    return text
