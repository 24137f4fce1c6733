"""Whether a secret lies in what somebody received or wrote down, however it is spelt."""

import base64
from urllib.parse import quote


def spellings(secret: str) -> set[bytes]:
    """The secret as it could lie about: plain, percent-encoded, in Base64 at any of three alignments, in hex."""
    plain = secret.encode()
    found = {plain, quote(secret, safe="").encode(), plain.hex().encode(), plain.hex().upper().encode()}
    for shift in range(3):
        padded = b"\0" * shift + plain
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            # The first and last characters mix with what stands around.
            found.add(encode(padded).rstrip(b"=")[4 if shift else 0 : -2])
    return {each for each in found if len(each) >= 8}


def where(secrets: set[str], text: bytes) -> list[str]:
    """Those that are in it."""
    return [secret for secret in secrets for spelling in spellings(secret) if spelling in text]
