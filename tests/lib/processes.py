"""Starting peers on free loopback ports, waiting until they are ready, and ending them with everything they started."""

import os
import random
import signal
import socket
import subprocess
import time
from pathlib import Path


promised: set[int] = set()


def free_port(host: str = "127.0.0.1") -> int:
    """A port below the range that the kernel hands to outgoing connections, so that nobody takes it before we listen; and none that
    was promised to another part of this suite, which may not listen yet."""
    while True:
        port = random.randrange(20_000, 32_000)
        if port in promised:
            continue
        with socket.socket() as probe:
            try:
                probe.bind((host, port))
                promised.add(port)
                return port
            except OSError:
                continue


def listening(host: str, port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(0.2)
        return probe.connect_ex((host, port)) == 0


def wait_until(condition, *, seconds: float = 20, every: float = 0.02, what: str = "it to happen"):
    """Polls `condition` until it returns something true, and returns that."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if result := condition():
            return result
        time.sleep(every)
    raise TimeoutError(f"waited {seconds} s for {what}")


def whole_lines(file: Path, start: int = 0) -> list[str]:
    """What somebody has written to a file so far, from a byte on; the last line may be in the middle of being written, and is left out."""
    return [line.decode() for line in file.read_bytes()[start:].split(b"\n")[:-1]]


class Process:
    """A child in a process group of its own, its output in a file."""

    def __init__(self, argv, *, log: Path, env=None, stdin=subprocess.DEVNULL, stdout=None, cwd=None):
        self.argv = [str(each) for each in argv]
        self.log = Path(log)
        self.log.parent.mkdir(parents=True, exist_ok=True)
        out = self.log.open("ab")
        self.popen = subprocess.Popen(
            self.argv,
            stdin=stdin,
            stdout=stdout or out,
            stderr=out,
            # The machine's own proxy is none of a test's.
            env={name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")} | (env or {}),
            cwd=cwd,
            start_new_session=True,
        )
        out.close()

    def text(self) -> str:
        return self.log.read_text(errors="replace")

    def wait_ready(self, host: str, port: int, seconds: float = 20) -> float:
        """Waits until it listens; returns the seconds that this took."""
        started = time.monotonic()

        def ready():
            if self.popen.poll() is not None:
                raise RuntimeError(f"{self.argv[0]} ended with {self.popen.returncode}:\n{self.text()[-4000:]}")
            return listening(host, port)

        try:
            wait_until(ready, seconds=seconds, what=f"{self.argv[:2]} on {host}:{port}")
        except TimeoutError as late:
            raise TimeoutError(f"{late}; it wrote:\n{self.text()[-4000:]}") from None
        return time.monotonic() - started

    def kill(self) -> None:
        """As the kernel would: no warning, nothing flushed."""
        self.popen.kill()
        self.popen.wait()

    def stop(self) -> None:
        for sign, patience in ((signal.SIGTERM, 5), (signal.SIGKILL, 5)):
            try:
                os.killpg(self.popen.pid, sign)
            except ProcessLookupError:
                break
            try:
                self.popen.wait(patience)
            except subprocess.TimeoutExpired:
                continue
        self.popen.wait(5)
        for pipe in (self.popen.stdin, self.popen.stdout):
            if pipe:
                pipe.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()
