"""Settings: layers, persistence, and errors that name the invalid setting."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hfdmd import config as config_module
from hfdmd.config import (
    DEFAULTS,
    FIELDS,
    PATCHABLE,
    SETTINGS,
    Config,
    ConfigError,
    Limits,
    Paths,
    config_file,
    limit_at,
    limits_of,
)
from hfdmd.migrations import Document
from hfdmd.wire import openapi
from hfdmd.wire.errors import InvalidField
from hfdmd.wire.types import ScheduleRule, Settings, SettingsPatch


def config(tmp_path: Path, text: str = "", env: dict[str, str] | None = None, **flags: str) -> Config:
    file = tmp_path / "config.toml"
    file.write_text(text)
    return Config(env={"HFDMD_CONFIG": str(file), **(env or {})}, flags=flags, patched=tmp_path / "settings.json")


def test_each_layer_wins_over_the_one_below(tmp_path: Path) -> None:
    assert config(tmp_path).values.max_active_downloads == 4
    text = "max_active_downloads = 5"
    assert config(tmp_path, text).values.max_active_downloads == 5
    env = {"HFDMD_MAX_ACTIVE_DOWNLOADS": "6"}
    assert config(tmp_path, text, env).values.max_active_downloads == 6
    above = config(tmp_path, text, env, max_active_downloads="7")
    assert above.values.max_active_downloads == 7
    above.patch(SettingsPatch(max_active_downloads=8))
    assert above.values.max_active_downloads == 8
    again = config(tmp_path, text, env, max_active_downloads="7")
    assert again.values.max_active_downloads == 8
    again.patch(SettingsPatch(max_active_downloads=None))
    assert again.values.max_active_downloads == 7


@pytest.mark.parametrize(
    ("env", "expected"),
    [
        ({}, "auto"),
        ({"HF_HUB_DISABLE_XET": "1"}, "http"),
        ({"HF_HUB_DISABLE_XET": "0"}, "auto"),
        ({"HF_HUB_DISABLE_XET": "1", "HFDMD_TRANSPORT": "xet"}, "xet"),
    ],
)
def test_the_hubs_variable_against_xet_means_http(tmp_path: Path, env: dict[str, str], expected: str) -> None:
    assert config(tmp_path, env=env).values.transport == expected


def test_a_reload_takes_the_file_anew_and_a_bad_one_changes_nothing(tmp_path: Path) -> None:
    read = config(tmp_path, "bandwidth_limit = 1000")
    (tmp_path / "config.toml").write_text("bandwidth_limit = 2000")
    read.reload()
    assert read.values.bandwidth_limit == 2000
    (tmp_path / "config.toml").write_text("bandwidth_limit = 'fast'")
    with pytest.raises(ConfigError, match="bandwidth_limit"):
        read.reload()
    assert read.values.bandwidth_limit == 2000


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("max_active_downloads = 0", "max_active_downloads"),
        ("max_active_downloads = true", "max_active_downloads"),
        ("surprise = 1", "surprise"),
        ("a = [", "TOML"),
        ("stall_timeout = 0.1", "stall_timeout"),
        ("allowed_dirs = ['relative']", "allowed_dirs"),
        ("allowed_origins = ['example.com']", "allowed_origins"),
        ("log_level = 'loud'", "log_level"),
        ("listen = '127.0.0.1'", "listen"),
        ("[[schedule]]\ndays = ['mon']\nfrom = '25:00'\nto = '07:00'\nbandwidthLimit = 0", "schedule"),
    ],
)
def test_a_bad_file_is_named(tmp_path: Path, text: str, named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        config(tmp_path, text)


@pytest.mark.parametrize(
    ("name", "written", "value"),
    [
        ("bandwidth_limit", "20MB/s", 20_000_000),
        ("bandwidth_limit", "none", 0),
        ("bandwidth_limit", "1.5 MiB/s", 1_572_864),
        ("min_free_bytes", "1.5 GB", 1_500_000_000),
        ("stall_timeout", "2m", 120.0),
        ("stall_timeout", "90", 90.0),
        ("max_active_downloads", " 7 ", 7),
        ("allow_unverified", "yes", True),
        ("allow_unverified", "false", False),
    ],
)
def test_sizes_rates_and_times_as_people_write_them(tmp_path: Path, name: str, written: str, value: object) -> None:
    assert getattr(config(tmp_path, f"{name} = {written!r}").values, name) == value
    assert getattr(config(tmp_path, env={f"HFDMD_{name.upper()}": written}).values, name) == value
    assert getattr(config(tmp_path, **{name: written}).values, name) == value


@pytest.mark.parametrize(
    ("name", "written", "said"),
    [
        ("bandwidth_limit", "fast", "'fast' is not a speed; write it like 20MB/s"),
        ("bandwidth_limit", "20Mbit/s", "in bits"),
        ("bandwidth_limit", "-1", "not a speed"),
        ("min_free_bytes", "much", "'much' is not a size"),
        ("min_free_bytes", "9999 PB", "too large"),
        ("stall_timeout", "soon", "'soon' is not a time; write it like 90s"),
        ("stall_timeout", "2h", "'2h' is not a time like 2m or 90s from 1s to 1h 00m"),
        ("max_connections", "many", "'many' is not a whole number"),
        ("max_connections", "0", "'0' is not a whole number from 1 to 1024"),
        ("allow_unverified", "perhaps", "'perhaps' is not true or false"),
    ],
)
def test_a_wrong_value_is_named_in_a_persons_words(tmp_path: Path, name: str, written: str, said: str) -> None:
    for where, arguments in (
        (rf"config\.toml: {name}", {"text": f"{name} = {written!r}"}),
        (f"HFDMD_{name.upper()}", {"env": {f"HFDMD_{name.upper()}": written}}),
        (f"--{name.replace('_', '-')}", {name: written}),
    ):
        with pytest.raises(ConfigError, match=f"{where}: .*{re.escape(said)}") as raised:
            config(tmp_path, **arguments)  # type: ignore[arg-type]  # a layer by its name
        assert "Expected" not in str(raised.value)


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        (
            '{days = ["mon"], from = "22:00", to = "07:00", bandwidth_limit = "fast"}',
            "rule 1, bandwidth_limit: 'fast' is",
        ),
        ('{days = ["mon"], from = "25:00", to = "07:00", bandwidth_limit = 0}', "rule 1, from: it must be like"),
        ('{days = ["monday"], from = "22:00", to = "07:00", bandwidth_limit = 0}', "rule 1, days: it must be like"),
        ('"mon"', "rule 1: it must be like"),
    ],
)
def test_a_wrong_rule_is_named_in_a_persons_words(tmp_path: Path, rule: str, said: str) -> None:
    with pytest.raises(ConfigError, match=f"schedule: {said}") as raised:
        config(tmp_path, f"schedule = [{rule}]")
    assert "Expected" not in str(raised.value)


def test_limits_of_a_schedule_as_people_write_them(tmp_path: Path) -> None:
    rule = '{days = ["mon"], from = "22:00", to = "07:00", bandwidth_limit = "2MB/s"}'
    assert config(tmp_path, f"schedule = [{rule}]").values.schedule[0].bandwidth_limit == 2_000_000
    rules = '[{"days": ["mon"], "from": "22:00", "to": "07:00", "bandwidthLimit": "2MB/s"}]'
    assert config(tmp_path, schedule=rules).values.schedule[0].bandwidth_limit == 2_000_000


def test_the_help_has_meaning_unit_and_default_of_each_setting() -> None:
    assert set(SETTINGS) == set(FIELDS)
    program = Path(sys.executable).with_name("hfdmd")
    env = {"PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "LC_ALL": "POSIX", "COLUMNS": "200"}
    shown = " ".join(
        subprocess.run([program, "--help"], env=env, capture_output=True, check=True, text=True).stdout.split()
    )
    for name, setting in SETTINGS.items():
        default = setting.kind.show(getattr(DEFAULTS, name))
        flag = f"--{name.replace('_', '-')} {setting.kind.metavar}"
        assert f"{flag} {setting.meaning} [default: {default}]" in shown


def test_without_a_home_the_system_file_still_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hfdmd.config.Path.home", lambda: (_ for _ in ()).throw(RuntimeError))
    assert config_file({}) in (None, Path("/etc/hfdmd/config.toml"))
    with pytest.raises(ConfigError, match="HFDMD_STATE_DIR"):
        Paths.from_env({})


def test_a_patch_is_all_or_nothing(tmp_path: Path) -> None:
    patched = config(tmp_path)
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"maxConnections": 0}, SettingsPatch)
    patched._patched_file = tmp_path / "nowhere" / "settings.json"
    with pytest.raises(OSError, match="No such file"):
        patched.patch(SettingsPatch(max_connections=3))
    assert patched.values.max_connections == 128


@pytest.mark.parametrize("name", ["bandwidth_limit", "bandwidthLimit"])
def test_a_schedule_in_the_file(tmp_path: Path, name: str) -> None:
    """Names in files are in snake_case; the API's spelling is accepted, too."""
    text = f'schedule = [{{days = ["mon"], from = "22:00", to = "07:00", {name} = 5}}]'
    assert config(tmp_path, text).values.schedule == [
        ScheduleRule(days=["mon"], from_="22:00", to="07:00", bandwidth_limit=5)
    ]
    with pytest.raises(ConfigError, match="schedule"):
        config(tmp_path, "schedule = ['mon']")


def test_the_schedule_of_the_readme(tmp_path: Path) -> None:
    readme = (Path(__file__).parent.parent / "README.md").read_text()
    values = config(tmp_path, readme.partition("```toml")[2].partition("```")[0]).values
    monday = datetime(2026, 11, 23)
    for hours, limit in [
        (3, 0),
        (12, 2_000_000),
        (23, 0),
        (24 + 6, 0),
        (24 + 7, 2_000_000),
        (5 * 24 + 12, 0),
        (6 * 24, 0),
    ]:
        assert limit_at(monday + timedelta(hours=hours), values.schedule, values.bandwidth_limit) == limit, hours


def test_lists_and_schedules_from_the_environment(tmp_path: Path) -> None:
    env = {
        "HFDMD_ALLOWED_DIRS": "/srv/models, /data",
        "HFDMD_SCHEDULE": '[{"days": ["sat"], "from": "00:00", "to": "23:59", "bandwidthLimit": 5}]',
    }
    values = config(tmp_path, env=env).values
    assert values.allowed_dirs == ["/srv/models", "/data"]
    assert values.schedule[0].bandwidth_limit == 5
    with pytest.raises(ConfigError, match="HFDMD_SCHEDULE"):
        config(tmp_path, env={"HFDMD_SCHEDULE": "nights"})


def test_folders_as_everywhere(tmp_path: Path) -> None:
    home = {"HOME": "/home/u"}
    assert Paths.from_env(home).cache_dir == Path("/home/u/.cache/huggingface/hub")
    assert Paths.from_env({**home, "HF_HOME": "/hf"}).cache_dir == Path("/hf/hub")
    assert Paths.from_env({**home, "HF_HOME": "/hf", "HF_HUB_CACHE": "/c"}).cache_dir == Path("/c")
    assert Paths.from_env({**home, "HF_HUB_CACHE": "~/c"}).cache_dir == Path("/home/u/c")
    assert Paths.from_env({**home, "XDG_CACHE_HOME": "/x"}).cache_dir == Path("/x/huggingface/hub")
    assert Paths.from_env({**home, "HF_ENDPOINT": "http://hub/"}).hub_endpoint == "http://hub"
    assert Paths.from_env({**home, "XDG_RUNTIME_DIR": str(tmp_path)}).socket == tmp_path / "hfdmd.sock"
    for bad in ("nonsense", "ftp://x", "https://user:pw@hub"):
        with pytest.raises(ConfigError, match="HF_ENDPOINT"):
            Paths.from_env({**home, "HF_ENDPOINT": bad})


NIGHT = ScheduleRule(days=["mon"], from_="22:00", to="07:00", bandwidth_limit=1)
DAY = ScheduleRule(days=["tue"], from_="06:00", to="18:00", bandwidth_limit=2)
MONDAY = datetime(2026, 11, 23)


@pytest.mark.parametrize(
    ("hours", "limit"),
    [(21.99, 9), (22, 1), (23.5, 1), (24, 1), (30, 1), (30.99, 1), (31, 2), (41.99, 2), (42, 9), (24 * 7 + 22, 1)],
)
def test_the_first_rule_that_matches_wins_and_nights_run_past_midnight(hours: float, limit: int) -> None:
    assert limit_at(MONDAY + timedelta(hours=hours), [NIGHT, DAY], 9) == limit


clock = st.builds("{:02}:{:02}".format, st.integers(0, 23), st.integers(0, 59))


@given(clock, clock, st.integers(0, 7 * 24 * 60 - 1))
def test_a_rule_for_all_days_holds_for_as_long_as_it_says(start: str, end: str, minute: int) -> None:
    every = ScheduleRule(days=["mon", "tue", "wed", "thu", "fri", "sat", "sun"], from_=start, to=end, bandwidth_limit=1)
    when = MONDAY + timedelta(minutes=minute)
    now = f"{when.hour:02}:{when.minute:02}"
    inside = start <= now < end if start < end else now >= start or now < end
    assert limit_at(when, [every], 9) == (1 if inside else 9)


WORK = ScheduleRule(days=["mon"], from_="09:00", to="17:00", bandwidth_limit=1234)


@pytest.mark.parametrize(("hour", "bandwidth"), [(8, 99), (9, 1234), (16, 1234), (17, 99)])
def test_the_limits_are_those_of_the_hour(monkeypatch: pytest.MonkeyPatch, hour: int, bandwidth: int) -> None:
    class Monday(datetime):
        @classmethod
        def now(cls, tz: object = None) -> Monday:
            return cls(2024, 1, 1, hour, 0, 0, tzinfo=UTC)

        def astimezone(self, tz: object = None) -> Monday:
            return self

    monkeypatch.setattr(config_module, "datetime", Monday)
    values = msgspec.structs.replace(
        DEFAULTS, max_connections=11, max_connections_per_file=7, bandwidth_limit=99, schedule=[WORK], stall_timeout=3.5
    )
    assert limits_of(values) == Limits(
        max_connections=11, max_connections_per_file=7, bandwidth_bytes_per_s=bandwidth, stall_timeout_s=3.5
    )


def test_an_invalid_patch_names_itself(tmp_path: Path) -> None:
    broken = config(tmp_path)
    (tmp_path / "config.toml").write_text("surprise = 1")
    with pytest.raises(InvalidField, match="surprise"):
        broken.patch(SettingsPatch(max_connections=3))


def test_changed_settings_are_stored_with_their_schema_version(tmp_path: Path) -> None:
    config(tmp_path).patch(SettingsPatch(max_connections=3))
    assert json.loads((tmp_path / "settings.json").read_bytes()) == {"schemaVersion": 1, "max_connections": 3}


def test_settings_of_an_older_schema_are_migrated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file without a version is of version 1."""
    (tmp_path / "settings.json").write_text('{"connections": 3}')

    def renamed(document: Document) -> Document:
        return {"max_connections" if name == "connections" else name: value for name, value in document.items()}

    monkeypatch.setattr("hfdmd.config.SETTINGS_MIGRATIONS", (renamed,))
    migrated = config(tmp_path)
    assert migrated.values.max_connections == 3
    migrated.patch(SettingsPatch(max_active_downloads=2))
    stored = json.loads((tmp_path / "settings.json").read_bytes())
    assert stored == {"schemaVersion": 2, "max_connections": 3, "max_active_downloads": 2}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"schemaVersion": 2, "max_connections": 3}', "written by a newer hfdmd.*delete the file"),
        ('{"schemaVersion": "new"}', "repair or delete"),
        ("[]", "repair or delete"),
    ],
)
def test_settings_that_cannot_be_read_are_refused_and_kept(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "settings.json").write_text(text)
    with pytest.raises(ConfigError, match=said):
        config(tmp_path)
    assert (tmp_path / "settings.json").read_text() == text


def test_the_settings_that_may_be_patched_are_those_of_the_api() -> None:
    """The bounds are the same type in both; the names must be the same, too."""
    for struct in (Settings, SettingsPatch):
        assert {field.name for field in msgspec.structs.fields(struct)} == set(PATCHABLE)
    document = openapi.document("0")["components"]["schemas"]
    for name, schema in document["Settings"]["properties"].items():
        assert schema.items() <= document["SettingsPatch"]["properties"][name]["anyOf"][0].items(), name
