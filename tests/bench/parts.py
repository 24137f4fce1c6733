"""The measuring origin and nginx, as peers."""

import os
import shutil
from pathlib import Path

from build import LOAD
from peers import ORIGIN_HOST, Peer

WITHOUT_GATEWAY = "a-token-for-whoever-comes-without-the-gateway"


class LoadOrigin(Peer):
    """`portcullis-load origin`: an OAuth resource server. Direct callers and nginx's come with a token that it is told."""

    host = ORIGIN_HOST

    def __init__(self, folder: Path, issuer: str, port: int, threads: int):
        super().__init__(folder, "load-origin", port)
        self.issuer, self.threads = issuer, threads

    @property
    def url(self) -> str:
        return f"{self.base}/mcp"

    def argv(self):
        return [
            LOAD, "origin", "--listen", f"{self.host}:{self.port}", "--workers", self.threads,
            "--issuer", self.issuer, "--accept", WITHOUT_GATEWAY, "--introspection", f"{self.issuer}/token/introspection",
            "--introspection-client", "origin:the-origin-introspects-with-this",
        ]  # fmt: skip


CONFIGURATION = """
daemon off;
{user}
worker_processes {threads};
worker_rlimit_nofile 8192;
pid {folder}/nginx.pid;
error_log {folder}/nginx.errors error;
events {{ worker_connections 4096; }}
http {{
  access_log off;
  server_tokens off;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  keepalive_requests 100000000;
  keepalive_timeout 300s;
  upstream origin {{
    server {origin};
    keepalive 256;
    keepalive_requests 100000000;
    keepalive_timeout 300s;
  }}
  server {{
    listen {listen} backlog=1024;
    location / {{
      proxy_pass http://origin;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Host $proxy_host;
      # The whole list fits: nginx at its best. Streams would want proxy_buffering off, which costs it more.
      proxy_buffers 16 16k;
      proxy_buffer_size 16k;
    }}
  }}
}}
"""


class Nginx(Peer):
    """A plain reverse proxy with a pool of upstream connections, no logs, everything in memory."""

    def __init__(self, folder: Path, origin: Peer, threads: int):
        super().__init__(folder / "nginx", "nginx")
        self.origin, self.threads = origin, threads

    @property
    def url(self) -> str:
        return f"{self.base}/mcp"

    def argv(self):
        program = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin")
        if not program:
            raise FileNotFoundError("nginx is not installed")
        configuration = self.folder / "nginx.conf"
        # A worker of a master that is root runs as somebody else, who may not write in the folder.
        user = "user root;" if os.geteuid() == 0 else ""
        configuration.write_text(
            CONFIGURATION.format(
                user=user,
                threads=self.threads,
                folder=self.folder,
                origin=f"{self.origin.host}:{self.origin.port}",
                listen=f"{self.host}:{self.port}",
            )
        )
        return [program, "-p", self.folder, "-e", self.folder / "nginx.errors", "-c", configuration]


def family(pid: int) -> list[int]:
    """A process and its children: nginx works in these."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *map(int, children)]
