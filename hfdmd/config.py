"""Settings: defaults < config.toml < environment < flags < PATCHed ones (docs/api.md, section 7)."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

import msgspec
from msgspec import UNSET, Meta

from hfdmd.durable import replace_file
from hfdmd.migrations import SETTINGS_MIGRATIONS, NewerSchema, migrate, schema_version
from hfdmd.wire import endpoint, validate
from hfdmd.wire.errors import InvalidField
from hfdmd.wire.malformed import MALFORMED
from hfdmd.wire.types import (
    MaxActiveDownloads,
    MaxConnections,
    MaxConnectionsPerFile,
    NonNegative,
    Schedule,
    ScheduleRule,
    Settings,
    SettingsPatch,
    StallTimeout,
)

DEFAULT_ENDPOINT = "https://huggingface.co"

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


class PatchableValues(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Settings that may change at any time: by `PATCH /api/settings` and by SIGHUP."""

    max_active_downloads: MaxActiveDownloads = 4
    max_connections: MaxConnections = 128
    max_connections_per_file: MaxConnectionsPerFile = 16
    bandwidth_limit: NonNegative = 0
    schedule: Schedule = []
    stall_timeout: StallTimeout = 30.0
    min_free_bytes: NonNegative = 1 << 30


class ReloadableValues(PatchableValues, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Also those that only SIGHUP changes while the daemon runs."""

    allow_unverified: bool = False
    allowed_dirs: list[str] = []
    max_queue: PositiveInt = 100_000
    max_listeners: PositiveInt = 4096
    log_level: str = "info"


class Values(ReloadableValues, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Every setting with its default. Those that this class adds are read once, at start."""

    listen: str | None = None
    allow_insecure_listen: bool = False
    allowed_hosts: list[str] = []
    allowed_origins: list[str] = []
    log: str = "text"


PATCHABLE = tuple(field.name for field in msgspec.structs.fields(PatchableValues))
FIELDS = {field.name: field for field in msgspec.structs.fields(Values)}
_LISTS = ("allowed_dirs", "allowed_hosts", "allowed_origins")


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
        home = Path(env["HOME"]) if env.get("HOME") else Path.home()
        hf_home = Path(env.get("HF_HOME") or Path(env.get("XDG_CACHE_HOME") or home / ".cache") / "huggingface")
        cache = env.get("HF_HUB_CACHE") or env.get("HUGGINGFACE_HUB_CACHE")
        hub_endpoint = (env.get("HF_ENDPOINT") or DEFAULT_ENDPOINT).rstrip("/")
        parts = urlsplit(hub_endpoint)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
            raise ConfigError(f"HF_ENDPOINT must be a URL like {DEFAULT_ENDPOINT}, not {hub_endpoint!r}")
        if parts.username or parts.password:
            raise ConfigError("HF_ENDPOINT must not carry a user name or password; use HF_TOKEN")
        socket = endpoint.default_socket(env)
        if len(os.fsencode(socket)) > endpoint.MAX_SOCKET_PATH_BYTES:
            raise ConfigError(
                f"the socket path {socket} is {len(os.fsencode(socket))} bytes long, the system takes"
                f" {endpoint.MAX_SOCKET_PATH_BYTES}; set HFDMD_SOCKET to a shorter one"
            )
        return cls(
            state_dir=endpoint.state_dir(env),
            cache_dir=_folder(Path(cache) if cache else hf_home / "hub", home),
            hub_endpoint=hub_endpoint,
            socket=socket,
        )


class Config:
    """The present settings. After `reload` and `patch` the caller applies them (`Scheduler.apply_settings`)."""

    def __init__(
        self,
        *,
        env: Mapping[str, str] = os.environ,
        flags: Mapping[str, Any] | None = None,
        file: Path | None = None,
        patched: Path | None = None,
    ) -> None:
        self._env = dict(env)
        self._flags = {name: value for name, value in (flags or {}).items() if value is not None}
        self._given_file = file
        self._file = file if file is not None else config_file(env)
        self._patched_file = patched
        self._patched: dict[str, Any] = self._read_patched()
        self.values = self._merge()

    @property
    def settings(self) -> Settings:
        """The settings that can be patched, in the API's form."""
        return Settings(**{name: getattr(self.values, name) for name in PATCHABLE})

    def reload(self) -> None:
        """Read `config.toml` again, or a new one. Raises `ConfigError` for an invalid one and then changes nothing."""
        self._file = self._given_file if self._given_file is not None else config_file(self._env)
        self.values = self._merge()

    def patch(self, patch: SettingsPatch) -> Settings:
        """Change settings, all or none; null returns one to the layers below. Survives a restart.

        Raises `InvalidField`, and OSError when it cannot be stored.
        """
        patched = dict(self._patched)
        for name in PATCHABLE:
            value = getattr(patch, name)
            if value is UNSET:
                continue
            if value is None:
                patched.pop(name, None)
            else:
                patched[name] = msgspec.to_builtins(value)
        before = self._patched
        self._patched = patched
        try:
            values = self._merge()
            self._write_patched()
        except ConfigError as error:
            self._patched = before
            raise InvalidField(str(error), field="schedule") from error
        except OSError:
            self._patched = before
            raise
        self.values = values
        return self.settings

    def _merge(self) -> Values:
        merged: dict[str, Any] = {}
        where: dict[str, str] = {}
        for source, layer in (
            (f"{self._file}: {{name}}", self._read_file()),
            ("HFDMD_{NAME}", self._read_env()),
            ("--{name}", self._flags),
            (f"{self._patched_file}: {{name}}", self._patched),
        ):
            for name, value in layer.items():
                merged[name] = value
                where[name] = source.replace("{name}", name).replace("{NAME}", name.upper())
        for name, value in merged.items():
            try:
                merged[name] = msgspec.convert(value, FIELDS[name].type, strict=isinstance(value, bool))
            except msgspec.ValidationError as error:
                raise ConfigError(f"{where[name]}: {error}, not {value!r}") from error
        values = Values(**merged)
        _check(values)
        return values

    def _read_file(self) -> dict[str, Any]:
        if self._file is None:
            return {}
        try:
            with open(self._file, "rb") as stream:
                layer = tomllib.load(stream)
        except FileNotFoundError:
            if self._env.get("HFDMD_CONFIG"):
                raise ConfigError(f"HFDMD_CONFIG names {self._file}, which does not exist") from None
            return {}
        except OSError as error:
            raise ConfigError(f"cannot read {self._file}: {error.strerror}") from error
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ConfigError(f"{self._file} is not TOML: {error}") from error
        for name in layer:
            if name not in FIELDS:
                raise ConfigError(
                    f"{self._file} sets {name!r}, which is not a setting; the settings are: {', '.join(FIELDS)}"
                )
        return {**layer, "schedule": _in_camel_case(layer["schedule"])} if "schedule" in layer else layer

    def _read_env(self) -> dict[str, Any]:
        layer: dict[str, Any] = {}
        for name in FIELDS:
            text = self._env.get(f"HFDMD_{name.upper()}")
            if text is None or text == "":
                continue
            layer[name] = parse_text(name, text, f"HFDMD_{name.upper()}")
        return layer

    def _read_patched(self) -> dict[str, Any]:
        if self._patched_file is None:
            return {}
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

    def _write_patched(self) -> None:
        if self._patched_file is not None:
            stored = {"schemaVersion": schema_version(SETTINGS_MIGRATIONS), **self._patched}
            replace_file(self._patched_file, [msgspec.json.format(msgspec.json.encode(stored))])


def config_file(env: Mapping[str, str] = os.environ) -> Path | None:
    """`$HFDMD_CONFIG`, else `~/.config/hfdmd/config.toml`, else `/etc/hfdmd/config.toml`; None if there is none."""
    if configured := env.get("HFDMD_CONFIG"):
        return Path(configured)
    home = Path(env["HOME"]) if env.get("HOME") else Path.home()
    own = Path(env.get("XDG_CONFIG_HOME") or home / ".config") / "hfdmd" / "config.toml"
    for candidate in (own, Path("/etc/hfdmd/config.toml")):
        if candidate.exists():
            return candidate
    return None


def parse_text(name: str, text: str, source: str) -> Any:
    """A setting given as text, by an environment variable or a flag. Raises `ConfigError` naming `source`."""
    if name == "schedule":
        try:
            return msgspec.json.decode(text.encode(), type=list[ScheduleRule])
        except MALFORMED as error:
            raise ConfigError(f'{source} must be JSON like [{{"days": ["mon"], …}}]: {error}') from error
    if name in _LISTS:
        return [item.strip() for item in text.split(",") if item.strip()]
    return text


def _in_camel_case(rules: Any) -> Any:
    """The rules of a schedule as the API spells them; files may say `bandwidth_limit` or `bandwidthLimit`."""
    if not isinstance(rules, list):
        return rules  # the conversion to `Schedule` reports the error
    spelled = {"bandwidth_limit": "bandwidthLimit"}
    return [{spelled.get(k, k): v for k, v in rule.items()} if isinstance(rule, dict) else rule for rule in rules]


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


def _folder(path: Path, home: Path) -> Path:
    text = os.path.expandvars(str(path))
    if text == "~" or text.startswith("~/"):
        text = str(home) + text[1:]
    return Path(text).absolute()
