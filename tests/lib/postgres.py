"""A PostgreSQL of a suite's own: `with Postgres(folder) as db: … db.url`. Its log is in `folder`; it goes with its data at the end.

PostgreSQL refuses to run as root, so it runs as the user that its Debian package makes. What root keeps to itself (a folder of
pytest's, say) that user cannot enter, so the data lies in a folder of its own.
"""

import os
import pwd
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from processes import Process, free_port, wait_until

USER = "portcullis"
DATABASE = "portcullis"

# Ends the server, and takes the data along, when it is told to end or when whoever started it is gone. What a suite leaves behind is
# found by a mark in its environment; PostgreSQL writes its titles over that, this shell does not.
KEEPER = """
data=$1; shift
"$@" & server=$!
trap 'ending=1; kill -INT $server 2>/dev/null' TERM INT HUP
while kill -0 $server 2>/dev/null; do wait $server; done
[ -z "$ending" ] || rm -rf "$data"
"""

# Nothing here has to survive a crash of the machine; a crash of the server it survives all the same.
SETTINGS = {
    "fsync": "off",
    "full_page_writes": "off",
    "max_connections": "200",
    "shared_buffers": "64MB",
    "log_line_prefix": "%m %p ",
}


def binaries() -> Path:
    """Where `initdb` and `postgres` are. Debian keeps them out of the PATH, one folder per version."""
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parent.parent.name))
    found = str(versions[-1]) if versions else shutil.which("initdb")
    if not found:
        raise RuntimeError("there is no PostgreSQL here; install the Debian package postgresql")
    return Path(found).resolve().parent


def user_ids() -> tuple[int, int] | None:
    """Whom to run it as: nobody else, unless we are root."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            entry = pwd.getpwnam(name)
            return entry.pw_uid, entry.pw_gid
        except KeyError:
            continue
    raise RuntimeError("PostgreSQL does not run as root, and there is neither a user postgres nor nobody")


class Postgres:
    """A server on `host` with a database and a user of the suite's own. `prefix` goes before its command: to start it in another
    network namespace, say. `auth` is how passwords are checked: what is right costs a debug build 100 ms a connection, `md5` nothing.
    With `tls`, a certificate and its key, nobody comes in over the network without it. It can be stopped, killed, paused, and started again with the same data and address."""

    def __init__(
        self,
        folder: Path,
        *,
        host: str = "127.0.0.1",
        port: int | None = None,
        prefix: list[str] | None = None,
        auth: str = "scram-sha-256",
        tls: tuple[Path, Path] | None = None,
    ):
        self.folder, self.host, self.prefix, self.auth = Path(folder), host, prefix or [], auth
        self.tls = tls
        self.port = port or free_port("127.0.0.1" if prefix else host)
        self.password = secrets.token_hex(16)
        self.bin = binaries()
        self.data = Path(tempfile.mkdtemp(prefix="portcullis-postgres-"))
        self.ids = user_ids()
        self.process = None
        try:
            self._make()
            self.start()
            self.query(f"CREATE DATABASE {DATABASE} ENCODING 'UTF8'", database="postgres")
        except BaseException:
            self.close()
            raise

    @property
    def url(self) -> str:
        return f"postgres://{USER}:{self.password}@{self.host}:{self.port}/{DATABASE}"

    def _as_user(self, *, dies_with_us: bool = False) -> list[str]:
        command = ["setpriv"]
        if self.ids:
            command += [f"--reuid={self.ids[0]}", f"--regid={self.ids[1]}", "--clear-groups"]
        if dies_with_us:
            command += ["--pdeathsig", "TERM"]
        return [*command, "--"] if len(command) > 1 else []

    def _make(self) -> None:
        password = self.data / "password"
        password.write_text(self.password + "\n")
        if self.ids:
            for path in (self.data, password):
                os.chown(path, *self.ids)
        done = subprocess.run(
            [
                *self._as_user(), self.bin / "initdb", "--pgdata", self.data / "cluster", "--username", USER,
                "--pwfile", password, "--auth", self.auth, "--encoding", "UTF8", "--locale", "C", "--no-sync",
            ],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, cwd="/",
        )  # fmt: skip
        if done.returncode:
            raise RuntimeError(f"initdb failed:\n{done.stdout}{done.stderr}")
        over = "hostssl" if self.tls else "host"
        (self.data / "cluster/pg_hba.conf").write_text(f"local all all {self.auth}\n{over} all all all {self.auth}\n")
        for name, file in zip(("server.crt", "server.key"), self.tls or (), strict=False):
            own = Path(shutil.copy(file, self.data / name))
            own.chmod(0o600)
            if self.ids:
                os.chown(own, *self.ids)

    def start(self) -> None:
        """Starts the server and waits until it answers."""
        settings = {**SETTINGS, "listen_addresses": self.host, "port": self.port, "unix_socket_directories": self.data}
        if self.tls:
            settings |= {"ssl": "on", "ssl_cert_file": self.data / "server.crt", "ssl_key_file": self.data / "server.key"}
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        server = [self.bin / "postgres", "-D", self.data / "cluster", *options]
        self.process = Process(
            [*self.prefix, *self._as_user(dies_with_us=True), "sh", "-c", KEEPER, "postgres", self.data, *server],
            log=self.folder / "postgres.log",
            cwd="/",
        )

        def ready():
            if self.process.popen.poll() is not None:
                raise RuntimeError(f"PostgreSQL ended:\n{self.process.text()[-4000:]}")
            return self._psql("SELECT 1", "postgres").returncode == 0

        wait_until(ready, seconds=30, what="PostgreSQL")

    def _psql(self, statement: str, database: str) -> subprocess.CompletedProcess:
        return subprocess.run(
            [
                self.bin / "psql", "--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--set", "ON_ERROR_STOP=1",
                "--host", self.data, "--port", str(self.port), "--username", USER, "--dbname", database, "--command", statement,
            ],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, env={**os.environ, "PGPASSWORD": self.password},
        )  # fmt: skip

    def query(self, statement: str, *, database: str = DATABASE) -> str:
        """What `psql` answers: rows as lines, columns separated by `|`."""
        done = self._psql(statement, database)
        if done.returncode:
            raise RuntimeError(f"{statement}: {done.stderr}")
        return done.stdout.strip()

    def dump(self) -> str:
        """A backup, as SQL."""
        done = subprocess.run(
            [self.bin / "pg_dump", "--no-owner", "--host", self.data, "--port", str(self.port), "--username", USER, DATABASE],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, env={**os.environ, "PGPASSWORD": self.password}, check=True,
        )  # fmt: skip
        return done.stdout

    def load(self, backup: str) -> None:
        """Takes a backup into this database, which is empty."""
        done = subprocess.run(
            [self.bin / "psql", "--no-psqlrc", "--quiet", "--set", "ON_ERROR_STOP=1", "--single-transaction",
             "--host", self.data, "--port", str(self.port), "--username", USER, "--dbname", DATABASE],
            input=backup, capture_output=True, text=True, timeout=60, env={**os.environ, "PGPASSWORD": self.password},
        )  # fmt: skip
        if done.returncode:
            raise RuntimeError(f"the backup could not be loaded: {done.stderr}")

    def _server(self) -> int:
        return int((self.data / "cluster/postmaster.pid").read_text().split()[0])

    def _ended(self) -> None:
        self.process.popen.wait(30)
        self.process = None

    def stop(self) -> None:
        """Ends the server as an administrator would. The data stays."""
        os.kill(self._server(), signal.SIGINT)
        self._ended()

    def kill(self) -> None:
        """Ends the server as a crash would. The data stays."""
        os.kill(self._server(), signal.SIGKILL)
        self._ended()

    def _all(self) -> list[int]:
        server = self._server()
        children = Path(f"/proc/{server}/task/{server}/children").read_text().split()
        return [server, *map(int, children)]

    def pause(self) -> None:
        """It keeps its connections and says nothing any more."""
        for pid in self._all():
            os.kill(pid, signal.SIGSTOP)

    def resume(self) -> None:
        for pid in reversed(self._all()):
            os.kill(pid, signal.SIGCONT)

    def close(self) -> None:
        if self.process and self.process.popen.poll() is None:
            # Not the whole group at once: the shell tells the server.
            self.process.popen.terminate()
            try:
                self.process.popen.wait(15)
            except subprocess.TimeoutExpired:
                self.process.stop()
        shutil.rmtree(self.data, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
