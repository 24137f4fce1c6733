"""`codex app-server` as editor extensions use it: JSON-RPC on its standard input and output, a message a line."""

import json
import subprocess
from itertools import count
from pathlib import Path
from queue import Empty, Queue
from threading import Thread

from processes import Process


class AppServer:
    """One process with one conversation in it, whose id is `thread`."""

    def __init__(self, argv: list, *, log: Path, cwd: Path):
        self.process = Process(argv, log=log, cwd=cwd, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.lines: Queue = Queue()
        self.ids = count(1)
        Thread(target=self._read, daemon=True).start()
        self.ask("initialize", clientInfo={"name": "test", "version": "1"})
        self._send(method="initialized")
        self.thread = self.ask("thread/start")["thread"]["id"]

    def ask(self, method: str, **params) -> dict:
        id = next(self.ids)
        self._send(id=id, method=method, params=params)
        while True:
            try:
                message = self.lines.get(timeout=30)
            except Empty:
                raise TimeoutError(f"{method} was not answered; it wrote:\n{self.process.text()[-3000:]}") from None
            if message.get("id") == id and "method" not in message:
                if "error" in message:
                    raise RuntimeError(f"{method}: {message['error']}")
                return message["result"]

    def _send(self, **message) -> None:
        self.process.popen.stdin.write(json.dumps(message).encode() + b"\n")
        self.process.popen.stdin.flush()

    def _read(self) -> None:
        for line in self.process.popen.stdout:
            self.lines.put(json.loads(line))

    def stop(self) -> None:
        self.process.stop()
