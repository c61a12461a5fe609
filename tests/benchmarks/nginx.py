"""The Hub and the CDN of the benchmark: nginx for both, so that neither is the bottleneck.

The Hub's answers are static files and redirects: HEAD and GET of /<repo>/resolve/<revision>/<path>, the revision and
the tree API. Big files are redirected to the CDN, a second server of the same nginx on another port.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import quote

from tests.benchmarks.site import Repo, Site

PROGRAM = shutil.which("nginx") or "/usr/sbin/nginx"
LOG_FLUSH_S = 1


@dataclass(frozen=True, slots=True)
class Options:
    """How the servers behave. `bytes_per_s` limits each connection of the CDN; 0 is no limit."""

    host: str = "127.0.0.1"
    certificate: Path | None = None
    key: Path | None = None
    bytes_per_s: int = 0
    inside: Sequence[str] = ()
    """Command prefix that enters the server's network namespace."""


@dataclass(frozen=True, slots=True)
class Logged:
    """A request in nginx's log. `server` is "hub" or "cdn"."""

    server: str
    method: str
    uri: str
    status: int
    sent_bytes: int


class Nginx:
    """`with Nginx(site, folder, options) as server:` … `server.endpoint`."""

    def __init__(self, site: Site, folder: Path, options: Options | None = None) -> None:
        self._site = site
        self._folder = folder
        self._options = options or Options()
        self._process: subprocess.Popen[bytes] | None = None
        self._hub_port, self._cdn_port = free_ports(2)
        scheme = "https" if self._options.certificate else "http"
        self.endpoint = f"{scheme}://{self._options.host}:{self._hub_port}"
        self.cdn_url = f"{scheme}://{self._options.host}:{self._cdn_port}"

    def __enter__(self) -> Nginx:
        self._folder.mkdir(parents=True)
        self._write()
        self._process = subprocess.Popen(
            [*self._options.inside, PROGRAM, "-c", str(self._config), "-p", str(self._folder), "-e", str(self._errors)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            self._wait()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)
            self._process.wait(10)
            self._process = None

    def limited(self, bytes_per_s: int) -> None:
        """Changes the limit of each connection of the CDN."""
        self._options = replace(self._options, bytes_per_s=bytes_per_s)
        self.reload()

    def reload(self) -> None:
        """Serve the site's current content."""
        assert self._process is not None
        self._write()
        self._process.send_signal(signal.SIGHUP)
        time.sleep(0.5)  # nginx does not report when its new workers are ready

    def clear_log(self) -> None:
        time.sleep(LOG_FLUSH_S + 0.2)
        os.truncate(self._log, 0)

    def log(self) -> list[Logged]:
        """The requests since the log was cleared."""
        time.sleep(LOG_FLUSH_S + 0.2)
        found = []
        for line in self._log.read_text().splitlines():
            port, method, uri, status, sent = line.split(" ")
            server = "hub" if int(port) == self._hub_port else "cdn"
            found.append(Logged(server, method, uri, int(status), int(sent)))
        return found

    @property
    def _config(self) -> Path:
        return self._folder / "nginx.conf"

    @property
    def _errors(self) -> Path:
        return self._folder / "error.log"

    @property
    def _log(self) -> Path:
        return self._folder / "access.log"

    def _wait(self) -> None:
        deadline = time.monotonic() + 10
        ask = [*self._options.inside, "curl", "-sk", "-o", "/dev/null", f"{self.endpoint}/"]
        while subprocess.run(ask, check=False).returncode != 0:
            if time.monotonic() > deadline or (self._process and self._process.poll() is not None):
                raise RuntimeError(f"nginx does not answer:\n{self._errors.read_text()}")
            time.sleep(0.05)

    def _write(self) -> None:
        folder, site, options = self._folder, self._site, self._options
        (folder / "etags.map").write_text(site.etags())
        (folder / "links.map").write_text(site.next_pages(self.endpoint))
        user = "user root;" if os.geteuid() == 0 else ""
        temporary = "\n".join(
            f"{kind}_temp_path {folder}/tmp;" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        tls = "ssl" if options.certificate else ""
        certificate = (
            f"ssl_certificate {options.certificate}; ssl_certificate_key {options.key}; ssl_protocols TLSv1.3;"
            if options.certificate
            else ""
        )
        limit = f"limit_rate {options.bytes_per_s}; sendfile_max_chunk 256k;" if options.bytes_per_s else ""
        small = any(
            files for repo in site.repos.values() for _, files in repo.commits
        )  # else nothing sets the variables
        etags = f'map "$repo $revision $path" $small_etag {{ include {folder}/etags.map; }}' if small else ""
        repos = "\n".join(self._locations(repo) for repo in site.repos.values())
        self._config.write_text(f"""
{user}
daemon off;
worker_processes 2;
worker_rlimit_nofile 16384;
pid {folder}/nginx.pid;
events {{ worker_connections 4096; }}
http {{
  log_format bench '$server_port $request_method $uri $status $bytes_sent';
  access_log {self._log} bench buffer=256k flush={LOG_FLUSH_S}s;
  {temporary}
  {certificate}
  sendfile on; tcp_nopush on; tcp_nodelay on;
  keepalive_requests 1000000; keepalive_timeout 300s;
  etag off; default_type application/octet-stream; server_tokens off;
  map_hash_max_size 262144; map_hash_bucket_size 256; variables_hash_max_size 4096;
  map $arg_cursor $page {{ "" ""; default ".$arg_cursor"; }}
  map $arg_expand $brief {{ sha .sha; default ""; }}
  map $uri $next_page {{ include {folder}/links.map; }}
  {etags}
  server {{
    listen {options.host}:{self._hub_port} {tls} backlog=4096;
    root {site.root};
    location / {{ return 404; }}
    location /api/ {{
      default_type application/json;
      add_header Link $next_page;
      try_files $uri.json$brief$page =404;
    }}
    {repos}
  }}
  server {{
    listen {options.host}:{self._cdn_port} {tls} backlog=4096;
    root {site.cdn};
    {limit}
    location / {{ add_header ETag '"cdn-$uri"'; }}
  }}
}}
""")

    def _locations(self, repo: Repo) -> str:
        """How nginx answers for one repo's files."""
        known = [commit for commit, _ in repo.commits]
        lines = []
        for revision in ["main", *known]:
            commit = repo.head if revision == "main" else revision
            base = f"/{repo.name}/resolve/{revision}/"
            for path, file in repo.lfs.items() if len(repo.lfs) < 100 else ():
                lines.append(f"""
    location = {base}{path} {{
      add_header X-Repo-Commit {commit} always;
      add_header X-Linked-Etag '"{file.sha256}"' always;
      add_header X-Linked-Size {file.made.size_bytes} always;
      return 302 {self._cdn(file.made.path)};
    }}""")
            if repo.lfs and len(repo.lfs) >= 100:  # all of them have one body
                body = next(iter(repo.lfs.values())).made
                lines.append(f"""
    location {base} {{
      add_header X-Repo-Commit {commit} always;
      return 302 {self._cdn(body.path)};
    }}""")
            if repo.commits[-1][1]:
                lines.append(f"""
    location ~ ^/(?<repo>{repo.name})/resolve/(?<revision>{revision})/(?<path>.+)$ {{
      add_header X-Repo-Commit {commit} always;
      add_header ETag $small_etag always;
      alias {self._site.root}/git/{repo.name}/{commit}/$path;
    }}""")
        return "\n".join(lines)

    def _cdn(self, path: Path) -> str:
        return f"{self.cdn_url}/{quote(str(path.relative_to(self._site.cdn)))}"


def free_ports(count: int) -> list[int]:
    """Free ports."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()
