"""Streams that stay open, of both eras. A test asks whether one still is, or when it ended."""

import threading
import time

import httpx2
from raw import LEGACY, MODERN, Caller


class Stream:
    """`GET` on a session of the legacy era, or `subscriptions/listen`, read until it ends."""

    def __init__(self, caller: Caller):
        headers = {
            "Accept": "application/json, text/event-stream",
            "Authorization": f"Bearer {caller.token}",
            "MCP-Protocol-Version": caller.era,
        }
        if caller.era == LEGACY:
            assert caller.session, "the caller has no session"
            self.request = {"method": "GET", "headers": headers | {"Mcp-Session-Id": caller.session}}
        else:
            meta = {"io.modelcontextprotocol/protocolVersion": MODERN, "io.modelcontextprotocol/clientCapabilities": {}}
            params = {"notifications": {"toolsListChanged": True}, "_meta": meta}
            message = {"jsonrpc": "2.0", "id": "listening", "method": "subscriptions/listen", "params": params}
            self.request = {"method": "POST", "headers": headers | {"Mcp-Method": "subscriptions/listen"}, "json": message}
        self.url = caller.url
        self.request["headers"] = dict(caller.http.headers) | self.request["headers"]
        self.status: int | None = None
        self.ended: float | None = None
        self._opened = threading.Event()
        self._over = threading.Event()
        threading.Thread(target=self._read, daemon=True).start()
        assert self._opened.wait(10), "the stream did not open"
        assert self.status == 200, f"the stream was refused with {self.status}"

    def _read(self):
        try:
            with httpx2.stream(url=self.url, timeout=None, trust_env=False, **self.request) as answer:
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
