"""Settings: defaults < config.toml < environment < flags < PATCHed ones (docs/api.md, section 7)."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, get_args
from urllib.parse import urlsplit

import msgspec
from msgspec import UNSET, Meta

from hfdmd import setting_kinds as kinds
from hfdmd.durable import replace_file
from hfdmd.migrations import SETTINGS_MIGRATIONS, NewerSchema, migrate, schema_version
from hfdmd.setting_kinds import Kind
from hfdmd.wire import endpoint, environment, validate
from hfdmd.wire.errors import InvalidField
from hfdmd.wire.types import MALFORMED, Day, ScheduleRule, Settings, SettingsPatch, TransportSetting

PositiveInt = Annotated[int, Meta(ge=1)]


class ConfigError(Exception):
    """An invalid setting. The text names the setting, where it was set, and which values are valid."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of the transfer engine. `bandwidth_bytes_per_s` 0 is no limit."""

    max_connections: int
    max_connections_per_file: int
    bandwidth_bytes_per_s: int
    stall_timeout_s: float
    transport: TransportSetting = "auto"


class ReloadableValues(Settings, kw_only=True, frozen=True):
    """Settings that may change while the daemon runs: those of the API, and those that only SIGHUP changes."""

    allow_unverified: bool = False
    allowed_dirs: list[str] = msgspec.field(default_factory=list)
    max_queue: PositiveInt = 100_000
    max_listeners: PositiveInt = 4096
    log_level: str = "info"


class Values(ReloadableValues, kw_only=True, frozen=True):
    """Every setting. Those that this class adds are read once, at start."""

    listen: str | None = None
    allow_insecure_listen: bool = False
    allowed_hosts: list[str] = msgspec.field(default_factory=list)
    allowed_origins: list[str] = msgspec.field(default_factory=list)
    log: str = "text"


PATCHABLE = tuple(field.name for field in msgspec.structs.fields(Settings))
FIELDS = {field.name: field for field in msgspec.structs.fields(Values)}
DEFAULTS = Values(
    max_active_downloads=4,
    max_connections=128,
    max_connections_per_file=16,
    bandwidth_limit=0,
    schedule=[],
    stall_timeout=30.0,
    min_free_bytes=1 << 30,
    transport="auto",
)
"""Here, because the API's schema has no defaults. Those of the other settings are in their classes."""
_DAYS: tuple[Day, ...] = get_args(Day)


@dataclass(frozen=True, slots=True)
class Setting:
    """What a setting means, for people, and how its values are written."""

    kind: Kind
    meaning: str


SETTINGS = {
    "max_active_downloads": Setting(kinds.COUNT, "requests in progress at once; a repo counts as one"),
    "max_connections": Setting(kinds.COUNT, "upper bound of connections for the whole daemon; the number adapts"),
    "max_connections_per_file": Setting(kinds.COUNT, "upper bound of connections for one file"),
    "bandwidth_limit": Setting(kinds.RATE, "limit for all downloads together, like 20MB/s; none: no limit"),
    "schedule": Setting(kinds.SCHEDULE, "limits by hour of the week; the first rule that matches applies"),
    "stall_timeout": Setting(kinds.TIME, "time without a byte before a connection is replaced, like 30s"),
    "min_free_bytes": Setting(kinds.SIZE, "space that stays free on the disk, like 1.5 GB"),
    "transport": Setting(kinds.TEXT, "auto, http, or xet: how content comes"),
    "allow_unverified": Setting(kinds.FLAG, "accept files for which the Hub has no digest"),
    "allowed_dirs": Setting(kinds.NAMES, "folders into which other users and TCP clients may download"),
    "max_queue": Setting(kinds.COUNT, "requests that may wait; a repo counts as one"),
    "max_listeners": Setting(kinds.COUNT, "event streams that may be open at once"),
    "log_level": Setting(kinds.TEXT, "debug, info, warning or error"),
    "listen": Setting(kinds.TEXT, "TCP address in addition to the socket, like 127.0.0.1:7878"),
    "allow_insecure_listen": Setting(kinds.FLAG, "allow plain HTTP on addresses beyond this machine"),
    "allowed_hosts": Setting(kinds.NAMES, "more Host names that TCP requests may use"),
    "allowed_origins": Setting(kinds.NAMES, "web origins whose pages may use the API, like https://app.example"),
    "log": Setting(kinds.TEXT, "text, or json for one JSON object per line"),
}
"""Every setting, for `hfdmd --help` and for reading values. A test compares the names with `Values`."""


@dataclass(frozen=True, slots=True)
class Paths:
    """Folders and addresses, fixed at start."""

    state_dir: Path
    cache_dir: Path
    hub_endpoint: str
    socket: Path

    @classmethod
    def from_env(cls, env: Mapping[str, str] = os.environ) -> Paths:
        """The folders and addresses that the environment names. Raises `ConfigError`."""
        try:
            state_dir, cache_dir = environment.state_dir(env), environment.cache_dir(env)
            hub_endpoint, socket = environment.hub_endpoint(env), endpoint.default_socket(env)
        except environment.EnvironmentProblem as problem:
            raise ConfigError(str(problem)) from problem
        if len(os.fsencode(socket)) > endpoint.MAX_SOCKET_PATH_BYTES:
            raise ConfigError(
                f"the socket path {socket} is {len(os.fsencode(socket))} bytes long, the system takes"
                f" {endpoint.MAX_SOCKET_PATH_BYTES}; set HFDMD_SOCKET to a shorter one"
            )
        cache_dir = Path(os.path.abspath(cache_dir))
        return cls(state_dir=state_dir, cache_dir=cache_dir, hub_endpoint=hub_endpoint, socket=socket)


class Config:
    """The present settings. After `reload` and `patch` the caller applies them (`Scheduler.apply_settings`)."""

    def __init__(self, *, env: Mapping[str, str], flags: Mapping[str, Any], patched: Path) -> None:
        self._env = dict(env)
        self._flags = flags
        self._patched_file = patched
        self._patched: dict[str, Any] = self._read_patched()
        self.values = self._merge(self._patched)

    @property
    def settings(self) -> Settings:
        """The settings that can be patched, in the API's form."""
        return msgspec.convert(self.values, Settings, from_attributes=True)

    def reload(self) -> None:
        """Read `config.toml` again, or a new one. Raises `ConfigError` for an invalid one and then changes nothing."""
        self.values = self._merge(self._patched)

    def patch(self, patch: SettingsPatch) -> Settings:
        """Change settings, all or none; null returns one to the layers below. Survives a restart.

        Raises `InvalidField`, and OSError when it cannot be stored.
        """
        patched = dict(self._patched)
        for name in PATCHABLE:
            value = getattr(patch, name)
            if value is None:
                patched.pop(name, None)
            elif value is not UNSET:
                patched[name] = msgspec.to_builtins(value)
        try:
            values = self._merge(patched)
        except ConfigError as error:
            raise InvalidField(str(error), field="schedule") from error
        self._write(patched)
        self.values, self._patched = values, patched
        return self.settings

    def _merge(self, patched: Mapping[str, Any]) -> Values:
        file = config_file(self._env)
        given: dict[str, tuple[Any, str]] = {}
        for source, layer in (
            (f"{file}: {{name}}", {} if file is None else self._read_file(file)),
            ("HFDMD_{NAME}", self._read_env()),
            ("--{name}", self._flags),
            (f"{self._patched_file}: {{name}}", patched),
        ):
            for name, value in layer.items():
                shown = name.replace("_", "-") if source.startswith("--") else name
                given[name] = value, source.replace("{name}", shown).replace("{NAME}", name.upper())
        merged: dict[str, Any] = {}
        for name, (value, where) in given.items():
            try:
                merged[name] = kinds.convert(SETTINGS[name].kind, FIELDS[name].type, value)
            except ValueError as error:
                raise ConfigError(f"{where}: {error}") from error
        values = msgspec.structs.replace(DEFAULTS, **merged)
        _check(values)
        return values

    def _read_file(self, file: Path) -> dict[str, Any]:
        try:
            with open(file, "rb") as stream:
                layer = tomllib.load(stream)
        except FileNotFoundError:
            if self._env.get("HFDMD_CONFIG"):
                raise ConfigError(f"HFDMD_CONFIG names {file}, which does not exist") from None
            return {}
        except OSError as error:
            raise ConfigError(f"cannot read {file}: {error.strerror}") from error
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ConfigError(f"{file} is not TOML: {error}") from error
        for name in layer:
            if name not in FIELDS:
                raise ConfigError(
                    f"{file} sets {name!r}, which is not a setting; the settings are: {', '.join(FIELDS)}"
                )
        return layer

    def _read_env(self) -> dict[str, str]:
        texts = {name: self._env.get(f"HFDMD_{name.upper()}", "").strip() for name in FIELDS}
        layer = {name: text for name, text in texts.items() if text}
        if environment.is_on("HF_HUB_DISABLE_XET", self._env):
            layer.setdefault("transport", "http")
        return layer

    def _read_patched(self) -> dict[str, Any]:
        try:
            stored = msgspec.json.decode(self._patched_file.read_bytes(), type=dict[str, Any])
            stored = migrate(stored, SETTINGS_MIGRATIONS)
        except FileNotFoundError:
            return {}
        except NewerSchema as error:  # to ignore it would lift limits that were set, and the next change overwrite it
            raise ConfigError(
                f"{self._patched_file} was written by a newer hfdmd: {error}; start that one, or delete the file to go"
                " back to the settings of config.toml, the environment and the flags"
            ) from error
        except (OSError, ValueError, *MALFORMED) as error:
            raise ConfigError(f"cannot read {self._patched_file}: {error}; repair or delete it") from error
        return {name: value for name, value in stored.items() if name in PATCHABLE}

    def _write(self, patched: Mapping[str, Any]) -> None:
        stored = {"schemaVersion": schema_version(SETTINGS_MIGRATIONS), **patched}
        replace_file(self._patched_file, [msgspec.json.format(msgspec.json.encode(stored))])


def config_file(env: Mapping[str, str] = os.environ) -> Path | None:
    """`$HFDMD_CONFIG`, else `~/.config/hfdmd/config.toml`, else `/etc/hfdmd/config.toml`; None if there is none."""
    candidates = [Path("/etc/hfdmd/config.toml")]
    try:
        if configured := env.get("HFDMD_CONFIG"):
            return environment.path(env, configured, "HFDMD_CONFIG")
        own = environment.path(env, env.get("XDG_CONFIG_HOME") or "~/.config", "HFDMD_CONFIG")
        candidates.insert(0, own / "hfdmd" / "config.toml")
    except environment.EnvironmentProblem as problem:
        if configured:
            raise ConfigError(str(problem)) from problem
    return next((candidate for candidate in candidates if candidate.exists()), None)


def _check(values: Values) -> None:
    if values.log not in ("text", "json"):
        raise ConfigError(f"log must be 'text' or 'json', not {values.log!r}")
    if values.log_level not in ("debug", "info", "warning", "error"):
        raise ConfigError(f"log_level must be debug, info, warning or error, not {values.log_level!r}")
    for folder in values.allowed_dirs:
        try:
            validate.local_dir(folder, "allowed_dirs")
        except InvalidField as error:
            raise ConfigError(error.detail) from error
    for name in values.allowed_origins:
        parts = urlsplit(name)
        if parts.scheme not in ("http", "https") or not parts.netloc or parts.path or parts.query:
            raise ConfigError(f"allowed_origins must hold origins like https://app.example, not {name!r}")
    if values.listen is not None:
        split_listen(values.listen)


def split_listen(listen: str) -> tuple[str, int]:
    """`127.0.0.1:7878` or `[::1]:7878` as host and port. Raises `ConfigError`."""
    host, colon, port = listen.rpartition(":")
    if not colon or not host or not port.isdecimal() or int(port) > 65535 or (":" in host) != host.startswith("["):
        raise ConfigError(f"listen must look like 127.0.0.1:7878 or [::1]:7878, not {listen!r}")
    return host.strip("[]"), int(port)


def limits_of(values: Values) -> Limits:
    """The engine's limits under these settings, now."""
    return Limits(
        max_connections=values.max_connections,
        max_connections_per_file=values.max_connections_per_file,
        bandwidth_bytes_per_s=limit_at(datetime.now().astimezone(), values.schedule, values.bandwidth_limit),
        stall_timeout_s=values.stall_timeout,
        transport=values.transport,
    )


def limit_at(when: datetime, schedule: Sequence[ScheduleRule], otherwise: int) -> int:
    """The limit in bytes per second at the local time `when`; 0 is none. The first matching rule wins.

    A rule with `to` at or before `from` extends past midnight and belongs to the day on which it begins.
    """
    now = when.strftime("%H:%M")
    today, yesterday = _DAYS[when.weekday()], _DAYS[when.weekday() - 1]
    for rule in schedule:
        if rule.from_ < rule.to:
            applies = today in rule.days and rule.from_ <= now < rule.to
        else:
            applies = (today in rule.days and now >= rule.from_) or (yesterday in rule.days and now < rule.to)
        if applies:
            return rule.bandwidth_limit
    return otherwise
