"""Errors the user can fix. The CLI shows the message, never a traceback, and without the secrets of addresses."""

import re

_SECRETS = (
    # On the web a password, or a token where a user would be; at S3 a key and its secret.
    re.compile(r"(https?:/+[^/?#@:\s'\"]*:)([^/?#\s'\"]+)(?=@)", re.IGNORECASE),
    re.compile(r"(https?:/+)([^/?#@:\s'\"]+)(?=@)", re.IGNORECASE),
    re.compile(r"(s3:/+)([^\s'\"]+)(?=@)", re.IGNORECASE),
    # Elsewhere everything up to an @ may be the password, slashes included.
    re.compile(r"(\b(?!https?:)[\w+.-]+:/+[^:/@\s]*:)([^\s'\"]+)(?=@)", re.IGNORECASE),
    re.compile(
        r"([?&;#][^=?&;#\s'\"]*(?:pass|pwd|secret|token|key|sig|credential|auth|odbc_connect)[^=?&;#\s'\"]*=)"
        r"([^&;#\s'\"]+)",
        re.IGNORECASE,
    ),
)
"""The text before a secret in an address, and the secret. A path drops the second slash of an address."""


def without_secrets(text: str) -> str:
    """Return a text, such as an address or what somebody says of one, with the secrets in its addresses starred out."""
    for secret in _SECRETS:
        text = secret.sub(lambda found: found[1] + "*" * len(found[2]), text)
    return text


class UserError(Exception):
    """Something the user gave is wrong; the text says what, where and what to do."""

    def __str__(self) -> str:
        return without_secrets(super().__str__())
