"""TLS as clients of the platform use it: whose certificates they accept, and what is wrong with others."""

from __future__ import annotations

import ssl

from gapless.model.errors import Misconfigured

#: OpenSSL's X509_V_ERR_HOSTNAME_MISMATCH and X509_V_ERR_IP_ADDRESS_MISMATCH.
_OTHER_NAME = (62, 64)


def client_context(ca_file: str = "", *, also: str = "") -> ssl.SSLContext:
    """Accepts what the CAs in ``ca_file`` (PEM) vouch for, and nothing else; without it, what the system's do
    (``SSL_CERT_FILE`` names others) and those in ``also``. Raises Misconfigured for a file without CAs."""
    try:
        context = ssl.create_default_context(cafile=ca_file or None)
        if also and not ca_file:
            context.load_verify_locations(also)
    except OSError as error:  # ssl.SSLError is one
        reason = "it holds no certificate" if isinstance(error, ssl.SSLError) else error.strerror
        raise Misconfigured(
            [f"the CA {ca_file or also} cannot be used ({reason}): name a PEM file with certificates"]
        ) from error
    return context


def tls_failure(error: Exception, setting: str) -> str:
    """What is wrong with the peer's TLS, in words; "" if that is not what ``error`` is about. ``setting`` is
    where the user names a CA."""
    match error:
        case ssl.SSLCertVerificationError(verify_code=code, verify_message=message) if code in _OTHER_NAME:
            return f"its certificate is for another name: {message.rstrip('.')}; use a name that it is for"
        case ssl.SSLCertVerificationError(verify_message=message):
            return (
                f"its certificate is not trusted: {message}; name the CA with {setting}, for `gapless up "
                "--tls` the file tls/ca.pem in its data directory"
            )
        case ssl.SSLError(reason="WRONG_VERSION_NUMBER" | "RECORD_LAYER_FAILURE"):
            return "it does not speak TLS: use http://"
    return ""
