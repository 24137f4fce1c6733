"""Runs a command with a PostgreSQL at PORTCULLIS_TEST_POSTGRES, which goes when the command has ended."""

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "lib"))

from postgres import Postgres


def main() -> int:
    # Asked to end, it ends in order: the server goes, and its data.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with tempfile.TemporaryDirectory(prefix="portcullis-store-") as folder, Postgres(Path(folder), auth="md5") as db:
        done = subprocess.run(sys.argv[1:], env={**os.environ, "PORTCULLIS_TEST_POSTGRES": db.url}).returncode
        if done:
            noteworthy = [line for line in (Path(folder) / "postgres.log").read_text().splitlines() if "FATAL" in line or "PANIC" in line]
            print("\n".join(["-- from PostgreSQL's log:", *noteworthy[-20:]]) if noteworthy else "", file=sys.stderr)
    return done


if __name__ == "__main__":
    sys.exit(main())
