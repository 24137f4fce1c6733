"""A terminal without a screen, for programs that ask their user something only there."""

import fcntl
import os
import pty
import signal
import struct
import subprocess
import termios
from collections.abc import Callable
from pathlib import Path
from threading import Thread

from processes import wait_until

ROWS, COLUMNS = 50, 500


def at_terminal(argv: list, *, cwd: Path, typed: str = "", until: Callable[[], bool] = lambda: False, seconds: float = 90) -> str:
    """Runs a program that has to go well, and types what its user answers ahead of the question; returns what it wrote. One that goes on
    until its user leaves is ended when `until` is true."""
    ours, its = pty.openpty()
    fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    written: list[bytes] = []

    def read() -> None:
        try:
            while said := os.read(ours, 65_536):
                written.append(said)
        except OSError:
            pass  # how a terminal ends on Linux

    process = subprocess.Popen(list(map(str, argv)), cwd=cwd, stdin=its, stdout=its, stderr=its, start_new_session=True)
    os.close(its)
    reader = Thread(target=read, daemon=True)
    reader.start()
    os.write(ours, typed.encode())
    try:
        wait_until(lambda: process.poll() is not None or until(), seconds=seconds, what=f"{argv[-3:]} to be done")
        left = process.poll() is None
        wrong = bool(process.poll())
    except TimeoutError:
        left, wrong = True, True
    if left:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    reader.join(5)
    os.close(ours)
    said = b"".join(written).decode(errors="replace").replace("\r\n", "\n")
    if wrong:
        raise RuntimeError(f"{argv[-3:]} {'took too long' if left else f'ended with {process.returncode}'}; it wrote:\n{said[-4000:]}")
    return said
