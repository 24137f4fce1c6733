"""A wire tap: forwards TCP connections and keeps every byte of both directions."""

import socket
import threading

from processes import free_port
from sockets import pump, stop_listening


class Tap:
    def __init__(self, host: str, to: tuple[str, int], port: int | None = None):
        self.host, self.to = host, to
        self.port = port or free_port(host)
        self.sent = bytearray()  # by whoever connects
        self.answered = bytearray()
        self.listener = socket.create_server((host, self.port))
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                near, _ = self.listener.accept()
            except OSError:
                return
            try:
                far = socket.create_connection(self.to, timeout=5)
                far.settimeout(None)
            except OSError:
                near.close()
                continue
            for source, target, kept in ((near, far, self.sent), (far, near, self.answered)):
                threading.Thread(target=pump, args=(source, target, kept), daemon=True).start()

    def close(self):
        stop_listening(self.listener)
