"""The test Hub as a whole: its servers in a thread of their own, driven from the test's thread."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from aiohttp.web_request import BaseRequest

from tests.fakehub.answer import Answer, error
from tests.fakehub.cas import Cas
from tests.fakehub.content import MIB, Source, content_of
from tests.fakehub.fault import Fault
from tests.fakehub.front import Front
from tests.fakehub.journal import Request, ServerName
from tests.fakehub.repo import KINDS, LfsRule, Repo, full_ref
from tests.fakehub.routes_api import api
from tests.fakehub.routes_cas import cas_api
from tests.fakehub.routes_cdn import cdn
from tests.fakehub.routes_resolve import raw_path, resolve
from tests.fakehub.routes_xorbs import xorbs
from tests.fakehub.running import HOST, Handler, Running
from tests.fakehub.tls import make_authority
from tests.fakehub.world import World


class HubServer:
    """A Hugging Face Hub on loopback: the Hub on one port, its CDN on another; with `xet` also the CAS and its storage.

    Use it as a context manager, plain or async. Every method may be called from any thread, before and while it runs.
    """

    def __init__(self, *, port: int = 0, tls: bool = False, xet: bool | Path = False, host: str = HOST) -> None:
        """`xet`: files that are added with `xet=` are really served by Xet; a path is the empty folder of its xorbs."""
        self.world = World()
        self._authority = make_authority((host, "localhost")) if tls else None
        self.ports = {"hub": port, "cdn": 0}
        if xet:
            self.world.cas = Cas(xet if isinstance(xet, Path) else None)
            self.ports |= {"cas": 0, "xorbs": 0}
        self._running = Running(self.ports, self._authority.server if self._authority else None, host)
        self._gate: asyncio.Event | None = None

    # ---- running

    def start(self) -> Self:
        """Starts all servers; returns when they listen. Raises OSError when a port is taken."""
        self._running.start(self._fronts)
        scheme = "https" if self._authority else "http"
        self.world.hub_url = f"{scheme}://{self._running.host}:{self.ports['hub']}"
        self.world.cdn_url = f"{scheme}://{self._running.host}:{self.ports['cdn']}"
        if self.world.cas is not None:
            self.world.cas_url = f"{scheme}://{self._running.host}:{self.ports['cas']}"
            self.world.xorb_url = f"{scheme}://{self._running.host}:{self.ports['xorbs']}"
        return self

    def stop(self) -> None:
        """Breaks every connection and stops; returns when the thread has ended."""
        self._running.stop()
        if self._authority is not None:
            self._authority.remove()
        if self.world.cas is not None:
            self.world.cas.remove()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    async def __aenter__(self) -> Self:
        return await asyncio.to_thread(self.start)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.to_thread(self.stop)

    @property
    def endpoint(self) -> str:
        """The value for HF_ENDPOINT."""
        return self.world.hub_url

    @property
    def cdn_url(self) -> str:
        """The CDN's origin."""
        return self.world.cdn_url

    @property
    def cas(self) -> Cas:
        """The CAS; only with `xet`."""
        if self.world.cas is None:
            raise ValueError("this test Hub has no Xet")
        return self.world.cas

    @property
    def ca_path(self) -> str:
        """The CA's certificate, for SSL_CERT_FILE; only with `tls`."""
        if self._authority is None:
            raise ValueError("this test Hub has no TLS")
        return str(self._authority.ca_path)

    # ---- repos

    def add_repo(
        self,
        name: str,
        files: Mapping[str, Source],
        *,
        repo_type: str = "model",
        lfs: LfsRule = None,
        xet: bool | Collection[str] = False,
        gated: bool = False,
        private: bool = False,
    ) -> str:
        """A new repo with one commit on main, whose id is returned. `lfs`: see `tests.fakehub.repo.LfsRule`."""
        repo = Repo(name, KINDS[repo_type], gated=gated, private=private, lfs=lfs)
        if self.world.cas is not None:
            cas = self.world.cas
            repo.xet_hash_of = lambda content: cas.add(content).name
        oid = self._commit(repo, files, "main", xet=xet)
        self.world.repos[repo.kind, name] = repo
        return oid

    def commit(
        self,
        name: str,
        files: Mapping[str, Source | None],
        branch: str = "main",
        *,
        repo_type: str = "model",
        replace: bool = False,
        lfs: LfsRule = None,
        xet: bool | Collection[str] = False,
    ) -> str:
        """A new commit: `files` added or changed (None: deleted; `replace`: these and no others). Returns its id."""
        return self._commit(self.repo(name, repo_type), files, branch, replace=replace, lfs=lfs, xet=xet)

    def ref(self, name: str, ref: str, commit: str, *, repo_type: str = "model") -> None:
        """Points a branch ("dev"), or any full ref ("refs/tags/v1", "refs/pr/1"), at `commit`."""
        self.repo(name, repo_type).refs[full_ref(ref)] = commit

    def forget_commit(self, name: str, commit: str, *, repo_type: str = "model") -> None:
        """The commit is no longer served, as after a squash."""
        del self.repo(name, repo_type).commits[commit]

    def move(self, old: str, new: str, *, repo_type: str = "model") -> None:
        """Renames a repo; the old name redirects."""
        kind = KINDS[repo_type]
        repo = self.world.repos.pop((kind, old))
        repo.name = new
        self.world.repos[kind, new] = repo
        self.world.moved[kind, old] = new

    def remove_repo(self, name: str, *, repo_type: str = "model") -> None:
        """Deletes the repo."""
        del self.world.repos[KINDS[repo_type], name]

    def repo(self, name: str, repo_type: str = "model") -> Repo:
        """The current state of the repo."""
        return self.world.repos[KINDS[repo_type], name]

    def renew_certificate(self, valid_from_days: float, valid_to_days: float) -> None:
        """Another certificate from now on, valid between these times from now; only with `tls`."""
        assert self._authority is not None
        self._authority.renew(valid_from_days, valid_to_days)

    def add_token(self, token: str, opens: Collection[str] | None = None) -> None:
        """Accepts `token` for the gated and private repos named (None: all)."""
        self.world.tokens[token] = None if opens is None else frozenset(opens)

    def _commit(self, repo: Repo, files: Mapping[str, Source | None], branch: str, **options: Any) -> str:
        contents = {path: None if source is None else content_of(source) for path, source in files.items()}
        made = repo.commit(contents, branch, **options)
        for path, content in contents.items():
            if content is not None and content.size_bytes >= MIB:
                _ = made.files[path].etag  # hashed here, because hashing would block the server's loop
        return made.oid

    # ---- faults, limits

    def fault(self, name: str | None, file: str | None, *faults: Fault) -> None:
        """Scripts faults for a file of a repo (None: for any).

        A request gets each kind of fault that applies to it, of each kind the first that is not used up.
        `file` may be "@tree", "@revision", "@paths-info", "@refs" or "@xet-read-token" for the API's routes, and
        "@reconstructions" and others for the CAS's.
        """
        is_route = file is not None and file.startswith("@")
        self.world.faults.add(name, file, [fault.at("api") if is_route else fault for fault in faults])

    def clear_faults(self) -> None:
        """Removes all faults."""
        self.world.faults.clear()

    @property
    def rate_bytes_per_s(self) -> float:
        """Limit of all bodies together in bytes/s; 0: none."""
        return self.world.total.bytes_per_s

    @rate_bytes_per_s.setter
    def rate_bytes_per_s(self, value: float) -> None:
        self.world.total.bytes_per_s = value

    @property
    def per_connection_bytes_per_s(self) -> float:
        """Limit of each connection in bytes/s; 0: none."""
        return self.world.per_connection_bytes_per_s

    @per_connection_bytes_per_s.setter
    def per_connection_bytes_per_s(self, value: float) -> None:
        self.world.per_connection_bytes_per_s = value

    @property
    def latency_s(self) -> float:
        """Delay before every response."""
        return self.world.latency_s

    @latency_s.setter
    def latency_s(self, value: float) -> None:
        self.world.latency_s = value

    # ---- the network

    def down(self, *servers: ServerName) -> None:
        """Takes these servers (none named: all) off the network: open connections are reset, new ones refused."""
        self._running.call(self._running.unlisten(servers or self.ports))

    def up(self) -> None:
        """Brings all back, on the same ports."""
        self._running.call(self._running.listen())

    def freeze(self) -> None:
        """Stops all traffic: connections stay open, nothing is answered or sent until `thaw`."""
        self._running.call(self._set_gate(False))

    def thaw(self) -> None:
        """Ends `freeze`."""
        self._running.call(self._set_gate(True))

    def break_connections(self, *, orderly: bool = False) -> None:
        """Ends every open connection once, idle ones too: by a reset, or `orderly` by a FIN."""
        self._running.call(self._running.abort(self.ports, orderly))

    # ---- the log

    @property
    def log(self) -> list[Request]:
        """Every request so far, in order of arrival."""
        return list(self.world.log)

    def requests(self, server: str | None = None, method: str | None = None, file: str | None = None) -> list[Request]:
        """The log's entries that match."""
        return [
            entry
            for entry in self.world.log
            if server in (None, entry.server) and method in (None, entry.method) and file in (None, entry.file)
        ]

    def sent_bytes(self, file: str | None = None) -> int:
        """Body bytes sent of that file of any repo (None: of all files, without listings and errors)."""
        return sum(
            entry.sent_bytes
            for entry in self.requests(method="GET", file=file)
            if entry.status in (200, 206) and entry.file is not None and not entry.file.startswith("@")
        )

    def clear_log(self) -> None:
        """Clears the request log."""
        self.world.log.clear()

    # ---- in the server's thread

    def _fronts(self) -> dict[str, Handler]:
        self._gate = asyncio.Event()
        self._gate.set()
        fronts = {
            "hub": Front("hub", self.world, self._hub_route, self._gate).handle,
            "cdn": Front("cdn", self.world, self._cdn_route, self._gate).handle,
            "cas": Front("cas", self.world, self._cas_route, self._gate).handle,
            "xorbs": Front("xorbs", self.world, self._xorbs_route, self._gate).handle,
        }
        return {name: front for name, front in fronts.items() if name in self.ports}

    async def _set_gate(self, is_open: bool) -> None:
        assert self._gate is not None
        if is_open:
            self._gate.set()
        else:
            self._gate.clear()

    async def _hub_route(self, request: BaseRequest, entry: Request) -> Answer:
        segments = raw_path(request).lstrip("/").split("/")
        if segments[0] == "api" and len(segments) > 1:
            return await api(self.world, request, entry, segments[1:])
        if segments[0] == "storage":
            return cdn(self.world, request, entry)
        if "resolve" in segments[1:] and request.method in ("GET", "HEAD"):
            return resolve(self.world, request, entry, segments)
        return error(404, "Sorry, we can't find the page you are looking for.")

    async def _cdn_route(self, request: BaseRequest, entry: Request) -> Answer:
        return cdn(self.world, request, entry)

    async def _cas_route(self, request: BaseRequest, entry: Request) -> Answer:
        return await cas_api(self.world, request, entry, raw_path(request).lstrip("/").split("/"))

    async def _xorbs_route(self, request: BaseRequest, entry: Request) -> Answer:
        return await xorbs(self.world, request, entry)
