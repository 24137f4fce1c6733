"""The gateway's key rings, as they are stored and as tokens name them."""

import base64
import json

MONTH = 31 * 24 * 3600
DAY = 25 * 3600


def kid(token: str) -> str:
    """The key that a JWT names."""
    head = token.split(".")[0]
    return json.loads(base64.urlsafe_b64decode(head + "=" * (-len(head) % 4)))["kid"]


def sealed_under(envelope: str) -> str:
    """The key that an envelope names: four bytes after its version."""
    raw = base64.urlsafe_b64decode(envelope + "=" * (-len(envelope) % 4))
    return base64.urlsafe_b64encode(raw[1:5]).rstrip(b"=").decode()


def ids(document: dict, ring: str) -> list[str]:
    """Of a ring's keys, the current one first."""
    return [entry["id"] for entry in document[ring]]


def aged(document: dict, seconds: int) -> dict:
    """The same rings when so much time has passed."""
    for ring in ("signing", "sealing", "mac"):
        for entry in document[ring]:
            for time in ("announcedAt", "retiredAt"):
                if time in entry:
                    entry[time] -= seconds * 1000
    return document
