"""What a Service does: one address in front of several replicas, each new connection to the next one that is ready."""

import socket
import threading
from itertools import count

from processes import free_port
from sockets import pump, stop_listening


class Balancer:
    """Passes connections to `targets`, a list of addresses that may change at any time; to none of them while it is empty."""

    def __init__(self, host: str, port: int | None = None):
        self.host, self.port = host, port or free_port(host)
        self.targets: list[tuple[str, int]] = []
        self._turn = count()
        self.listener = socket.create_server((host, self.port), backlog=256)
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                near, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._connect, args=(near,), daemon=True).start()

    def _connect(self, near: socket.socket):
        targets = list(self.targets)
        first = next(self._turn)
        for place in range(len(targets)):
            try:
                far = socket.create_connection(targets[(first + place) % len(targets)], timeout=2)  # one that does not answer is passed over soon
                break
            except OSError:
                continue
        else:
            near.close()
            return
        far.settimeout(None)
        for end in (near, far):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        threading.Thread(target=pump, args=(near, far), daemon=True).start()
        pump(far, near)

    def close(self):
        stop_listening(self.listener)
