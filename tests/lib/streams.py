"""Streams that stay open: the one that a client of the legacy era listens on. A test asks whether it still is, or when it ended."""

import threading
import time

import httpx2
from raw import LEGACY, Caller


class Stream:
    """`GET` on a session, read until it ends."""

    def __init__(self, caller: Caller):
        assert caller.session, "only a session of the legacy era has a stream of its own"
        headers = {
            "Accept": "text/event-stream",
            "Authorization": f"Bearer {caller.token}",
            "Mcp-Session-Id": caller.session,
            "MCP-Protocol-Version": LEGACY,
        }
        self.url, self.headers = caller.url, dict(caller.http.headers) | headers
        self.status: int | None = None
        self.ended: float | None = None
        self._opened = threading.Event()
        self._over = threading.Event()
        threading.Thread(target=self._read, daemon=True).start()
        assert self._opened.wait(10), "the stream did not open"
        assert self.status == 200, f"the stream was refused with {self.status}"

    def _read(self):
        try:
            with httpx2.stream("GET", self.url, headers=self.headers, timeout=None, trust_env=False) as answer:
                self.status = answer.status_code
                self._opened.set()
                for _ in answer.iter_raw():
                    pass
        except httpx2.TransportError:
            pass
        self.ended = time.monotonic()
        self._over.set()
        self._opened.set()

    @property
    def open(self) -> bool:
        return self.ended is None

    def wait_end(self, seconds: float = 5) -> float:
        """Waits for its end and returns when that was (`time.monotonic`)."""
        assert self._over.wait(seconds), f"the stream is still open after {seconds} s"
        return self.ended
