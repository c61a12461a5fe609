"""The daemon: `main()` composes all parts. Locks, sockets, signals, logging, the service manager."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import faulthandler
import gc
import logging
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from hfdmd import __version__, descriptors, logs
from hfdmd.api.access import Access, load_token, own_hosts
from hfdmd.cache import volumes
from hfdmd.cache.storage import Storage
from hfdmd.cache.volumes import Volumes
from hfdmd.checks import checks
from hfdmd.config import DEFAULTS, SETTINGS, Config, ConfigError, Paths, limits_of, split_listen
from hfdmd.durable import replace_file
from hfdmd.events import Events
from hfdmd.failure import Failure
from hfdmd.hub.client import Hub
from hfdmd.instance import AlreadyRunning, instance_lock
from hfdmd.listeners import Listeners, SocketError
from hfdmd.net.origin import RedirectPolicy
from hfdmd.net.proxy import proxy_for
from hfdmd.net.retry_after import RetryAfter
from hfdmd.scheduler.core import Scheduler
from hfdmd.service_manager import Notifier
from hfdmd.store import Store
from hfdmd.transfer.disk.reservations import DiskReservations
from hfdmd.transfer.engine import Engine
from hfdmd.transfer.xet.recipes import RecipeStore
from hfdmd.versions import Versions
from hfdmd.wire import utf8
from hfdmd.wire.endpoint import ENDPOINT_FILE
from hfdmd.wire.types import Check, Checks, CheckState, Endpoint, Status

log = logging.getLogger("hfdmd")

EXIT_FAULT, EXIT_USAGE, EXIT_ALREADY_RUNNING, EXIT_CONFIG = 1, 2, 75, 78
USER_AGENT = f"hfdmd/{__version__}"
_ANNOUNCE_AGAIN_S = 5.0
_STATUS_S = 10.0
_GARBAGE_AFTER = 20_000
"""New objects between two garbage collections. Cycles are rare; the default of 700 slows a repo of small files."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point of the command `hfdmd`: run in the foreground until SIGTERM or SIGINT."""
    if arguments is None:
        utf8.ensure()
    sys.exit(run(arguments))


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the daemon; returns its exit code (docs/api.md, section 7)."""
    faulthandler.enable()
    descriptors.raise_limit()
    options = {name: text for name, text in vars(_parser().parse_args(arguments)).items() if text is not None}
    check = options.pop("check", None)
    try:
        env = dict(os.environ)
        for name in ("state_dir", "socket", "config"):
            if name in options:
                env[f"HFDMD_{name.upper()}"] = os.path.abspath(options.pop(name))
        paths = Paths.from_env(env)
        if check is not None:
            return _check(paths, Config(env=env, flags=options, patched=paths.state_dir / "settings.json"), check)
        _check_proxy(paths.hub_endpoint)
        with _locked(paths):
            config = Config(env=env, flags=options, patched=paths.state_dir / "settings.json")
            logs.set_up(config.values.log, config.values.log_level)
            return asyncio.run(_Daemon(paths, config).run())
    except ConfigError as error:
        print(f"hfdmd: {error}", file=sys.stderr)
        return EXIT_CONFIG
    except AlreadyRunning as running:
        print(f"hfdmd: {running.detail}", file=sys.stderr)
        return EXIT_ALREADY_RUNNING


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="hfdmd",
        description="Download daemon for the Hugging Face Hub. Runs in the foreground; `hfdm` talks to it.",
        epilog="Every setting can also be set in config.toml (max_queue = 1000), or in the environment"
        " (HFDMD_MAX_QUEUE=1000). Flags win over the environment, which wins over config.toml.",
    )
    parser.add_argument("--version", action="version", version=f"hfdmd {__version__}")
    parser.add_argument("--config", metavar="FILE", help="config.toml to read")
    parser.add_argument("--state-dir", metavar="DIR", help="folder of tracker files, token and lock")
    parser.add_argument("--socket", metavar="PATH", help="Unix socket to listen on")
    parser.add_argument(
        "--check",
        nargs="?",
        const="online",
        choices=("online", "offline"),
        help="print as JSON whether this machine can download, and end; hfdm doctor shows the same",
    )
    for name, setting in SETTINGS.items():
        default = setting.kind.show(getattr(DEFAULTS, name))
        flag, meaning = f"--{name.replace('_', '-')}", f"{setting.meaning}  [default: {default}]"
        parser.add_argument(flag, metavar=setting.kind.metavar, help=meaning)
    return parser


def _check(paths: Paths, config: Config, how: str) -> int:
    """Print what `GET /api/checks` would answer; 1 when there is a problem."""

    async def run_checks() -> list[Check]:
        policy = RedirectPolicy(paths.hub_endpoint)
        hub = None if how == "offline" else Hub(paths.hub_endpoint, RetryAfter(), policy, USER_AGENT)
        try:
            return await checks(paths, config.values, hub, None)
        finally:
            if hub is not None:
                await hub.close()

    found = asyncio.run(run_checks())
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(Checks(checks=found))).decode() + "\n")
    return EXIT_FAULT if any(one.state is CheckState.PROBLEM for one in found) else 0


def _check_proxy(hub_endpoint: str) -> None:
    """Raises `ConfigError` when no request can ever reach the Hub, because its proxy is of an unsupported kind."""
    try:
        proxy_for(hub_endpoint)
    except Failure as failure:
        raise ConfigError(failure.detail) from None


@contextlib.contextmanager
def _locked(paths: Paths) -> Iterator[None]:
    """Create the state folder and hold its lock. Raises `ConfigError`, `AlreadyRunning`."""
    folder = paths.state_dir
    with contextlib.ExitStack() as stack:
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            stack.enter_context(instance_lock(folder / "hfdmd.lock", folder))
            _probe(folder)
        except OSError as error:
            raise ConfigError(f"the state folder {folder} cannot be written: {error.strerror}") from error
        yield


def _probe(folder: Path) -> None:
    """Raises OSError if no file can be created in the folder."""
    probe = folder / f".hfdmd-probe-{os.getpid()}"
    probe.touch()
    probe.unlink()


class _CacheLock:
    """The lock of the cache folder. Taken again when the folder is another one: its drive is back."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._held = contextlib.ExitStack()

    def take(self) -> None:
        """Raises `AlreadyRunning`, and OSError if the folder is not writable."""
        self.release()
        locks = self._folder / ".locks"
        locks.mkdir(exist_ok=True)
        self._held.enter_context(instance_lock(locks / "hfdmd.lock", self._folder))
        _probe(self._folder)

    def release(self) -> None:
        self._held.close()


class _Daemon:
    def __init__(self, paths: Paths, config: Config) -> None:
        self._paths = paths
        self._config = config
        self._notifier = Notifier.from_env()
        self._cache_lock = _CacheLock(paths.cache_dir)
        self._stop = asyncio.Event()

    async def run(self) -> int:
        """Start everything, run until a signal, stop everything. Raises `ConfigError`, `AlreadyRunning`."""
        try:
            return await self._run()
        finally:
            self._cache_lock.release()

    async def _run(self) -> int:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        paths = self._paths
        events = Events()
        retry_after = RetryAfter()
        policy = RedirectPolicy(paths.hub_endpoint)
        reservations = DiskReservations(lambda: self._config.values.min_free_bytes)
        storage = Storage(
            paths.cache_dir,
            lambda: self._config.values.allowed_dirs,
            reservations.reserved,
            Volumes(paths.state_dir / volumes.FILE),
            self._cache_lock.take,
        )
        store = Store(paths.state_dir / "trackers")
        versions = Versions(paths.state_dir / "version")
        self._prepare(storage)
        try:
            store.open()
            versions.open()
        except OSError as error:
            raise ConfigError(f"{error.filename or paths.state_dir} cannot be written: {error.strerror}") from error
        hub = Hub(
            paths.hub_endpoint,
            retry_after,
            policy,
            USER_AGENT,
            allow_unverified=lambda: self._config.values.allow_unverified,
        )
        recipes = RecipeStore(paths.state_dir / "recipes")
        scheduler = Scheduler(
            config=self._config,
            paths=paths,
            store=store,
            versions=versions,
            hub=hub,
            storage=storage,
            reservations=reservations,
            engine=Engine(retry_after, policy, limits_of(self._config.values), USER_AGENT, recipes=recipes),
            retry_after=retry_after,
            events=events,
            validates=os.environ.get("HFDMD_DEBUG") == "validate",
        )
        listeners = Listeners(paths.socket)
        try:
            access = self._access(listeners)
            await listeners.open(scheduler, access)
        except (SocketError, ValueError) as error:
            store.close()
            raise ConfigError(str(error)) from error
        announced = self._write_endpoint(listeners)
        loop.add_signal_handler(signal.SIGHUP, self._reload, scheduler)
        log.info(
            "hfdmd %s, pid %d: socket %s%s, cache %s, Hub %s",
            __version__,
            os.getpid(),
            listeners.socket_path,
            f", {listeners.url}" if listeners.url else "",
            paths.cache_dir,
            paths.hub_endpoint,
        )
        gc.freeze()  # objects made at start live as long as the daemon
        gc.set_threshold(_GARBAGE_AFTER)
        watch = _Watch(self._notifier, scheduler)
        try:
            async with asyncio.TaskGroup() as group:
                work = group.create_task(scheduler.run(), name="scheduler")
                watcher = group.create_task(watch.run(), name="watch")
                announcer = group.create_task(self._announce(listeners, announced), name="announce")
                self._notifier.ready(watch.status())
                stopped = group.create_task(self._stop.wait(), name="stop")
                await asyncio.wait([work, stopped], return_when=asyncio.FIRST_COMPLETED)
                self._notifier.stopping()
                log.info("stopping")
                listeners.stop_accepting()
                events.close()
                await listeners.drain()
                scheduler.close()
                await work
                watcher.cancel()
                announcer.cancel()
                stopped.cancel()
        finally:
            await listeners.close()
            await scheduler.engine.close()
            await hub.close()
            await asyncio.to_thread(store.close)
            with contextlib.suppress(OSError):  # clients notice that nothing listens there
                (paths.state_dir / ENDPOINT_FILE).unlink()
        if store.wrote_all:
            versions.close()
        log.info("stopped")
        return 0

    def _prepare(self, storage: Storage) -> None:
        """Prepare the cache folder, unless its drive is not there yet. Raises `ConfigError`, `AlreadyRunning`."""
        try:
            storage.prepare()
        except AlreadyRunning:
            raise
        except Failure as away:
            log.warning("%s", away.detail)
        except OSError as error:
            folder = self._paths.cache_dir
            raise ConfigError(f"the cache folder {folder} cannot be written: {error.strerror}") from error

    def _access(self, listeners: Listeners) -> Access:
        """The access rules. A token is created only for a TCP address."""
        values = self._config.values
        if values.listen is None:
            return Access(None, (), ())
        host, port = split_listen(values.listen)
        if host not in ("127.0.0.1", "::1", "localhost") and not values.allow_insecure_listen:
            raise ConfigError(
                f"listen = {values.listen!r} would serve plain HTTP beyond this machine: put a TLS proxy in front of a"
                " loopback address, or set allow_insecure_listen"
            )
        file = self._paths.state_dir / "token"
        try:
            token = load_token(file)
        except OSError as error:
            raise ConfigError(f"the token file {file} cannot be used: {error.strerror}") from error
        port = listeners.bind_tcp(host, port)
        if values.allow_insecure_listen:
            log.warning("listening on %s with plain HTTP: the token can be read in the traffic", values.listen)
        log.info("TCP clients need the token in %s", file)
        return Access(token, own_hosts(host, port, values.allowed_hosts), values.allowed_origins)

    def _reload(self, scheduler: Scheduler) -> None:
        """SIGHUP: read the configuration again; running downloads continue."""
        self._notifier.reloading()
        try:
            self._config.reload()
        except ConfigError as error:
            log.error("the configuration is unchanged: %s", error)
        else:
            logs.set_level(self._config.values.log_level)
            scheduler.apply_settings()
            log.info("configuration read again")
        self._notifier.ready("configuration read again")

    async def _announce(self, listeners: Listeners, announced: bool) -> None:
        """Retry writing `endpoint.json`, which a full disk may prevent. The daemon works without it."""
        while not announced:
            await asyncio.sleep(_ANNOUNCE_AGAIN_S)
            announced = self._write_endpoint(listeners)

    def _write_endpoint(self, listeners: Listeners) -> bool:
        """Write `endpoint.json`; False if it could not be written."""
        endpoint = Endpoint(pid=os.getpid(), socket=str(listeners.socket_path), url=listeners.url)
        file = self._paths.state_dir / ENDPOINT_FILE
        try:
            replace_file(file, [msgspec.json.encode(endpoint) + b"\n"])
        except OSError as error:
            log.error("cannot write %s, where clients look for the API: %s", file, error.strerror)
            return False
        return True


class _Watch:
    """Sends the watchdog message from the event loop, so that a blocked loop sends none, and only while the store runs.

    Threads that wait for the disk are logged but do not stop it: slow storage must not get the daemon killed.
    """

    def __init__(self, notifier: Notifier, scheduler: Scheduler) -> None:
        self._notifier = notifier
        self._scheduler = scheduler

    async def run(self) -> None:
        """Run until cancelled. Returns at once without a service manager."""
        if not self._notifier.enabled:
            return
        interval_s = self._notifier.watchdog_interval_s
        wait_s = min(interval_s or _STATUS_S, _STATUS_S)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                await self._scheduler.startup.loaded.wait()
        while True:
            blocked_s = self._scheduler.engine.unresponsive_s()
            if blocked_s > _STATUS_S * 3:
                log.warning("the disk has not responded for %.0f s", blocked_s)
            if interval_s is not None and self._scheduler.store.is_alive:
                self._notifier.watchdog()
            self._notifier.status(self.status())
            await asyncio.sleep(wait_s)

    def status(self) -> str:
        """What the daemon is doing, as a line of text."""
        scheduler = self._scheduler
        if scheduler.loading:
            return "loading tracker files"
        counts = scheduler.index.counts
        if not counts[Status.DOWNLOADING]:
            waiting = counts[Status.QUEUED]
            return f"{waiting} downloads queued" if waiting else "idle"
        speed = scheduler.running.total_bytes_per_second / 1e6
        return f"{counts[Status.DOWNLOADING]} downloading at {speed:.1f} MB/s, {counts[Status.QUEUED]} queued"


if __name__ == "__main__":
    main()
