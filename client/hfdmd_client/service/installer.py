"""`hfdm service install` and `uninstall`: the files of the service, and what the service manager knows of them."""

from __future__ import annotations

import getpass
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import msgspec

from hfdmd.wire.types import MALFORMED
from hfdmd_client.service import program, systemd, unit_files
from hfdmd_client.service.actions import Say, is_installed, manager_for, stop_running
from hfdmd_client.service.command import ServiceError
from hfdmd_client.service.launchd import ACCOUNT, Launchd, group_id
from hfdmd_client.service.layout import GROUP, Layout, Manager, Scope, layout_of
from hfdmd_client.service.systemd import Systemd

LINGER_NOTE = "linger: turned on by 'hfdm service install'"
SETTINGS = Path("/etc/hfdmd")
_UNFINISHED = ("queued", "in-progress", "paused")


@dataclass(frozen=True, slots=True)
class Options:
    """The options of `hfdm service install`."""

    scope: Scope
    now: bool = False
    """Start it as well. Otherwise it starts at the next login or boot, or at the first request."""
    linger: bool = False
    """Run the user service from boot on and after logging out."""
    root: Path | None = None
    """Only write the files, below this folder, for packages and images."""
    program: Path | None = None
    """The path of `hfdmd` in the unit files; None: the one of this installation."""


def install(options: Options, say: Say) -> None:
    """Writes the unit files and enables them. Idempotent; a new version updates them.

    Raises `ServiceError`, and changes nothing, when the service could not run.
    """
    layout = layout_of(options.scope, root=options.root)
    chosen = options.program or program.find()
    if options.root is not None:
        _stage(layout, chosen, say)
    elif layout.manager is Manager.LAUNCHD:
        _install_launchd(layout, chosen, options, say)
    else:
        _install_systemd(layout, chosen, options, say)


def _stage(layout: Layout, chosen: Path, say: Say) -> None:
    if layout.manager is Manager.LAUNCHD:
        raise ServiceError("--root is for packages of systemd units; it does not exist on macOS")
    if not chosen.is_absolute():
        raise ServiceError(f"{chosen} is no absolute path")
    for changed in unit_files.write(_units(layout, chosen)):
        say(f"wrote {changed}")


def _check(chosen: Path, scope: Scope) -> None:
    if scope is Scope.SYSTEM:
        program.check_system(chosen)
    else:
        program.check_user(chosen)


def _install_systemd(layout: Layout, chosen: Path, options: Options, say: Say) -> None:
    manager = Systemd(options.scope)
    manager.check()
    _check(chosen, options.scope)
    changed = unit_files.write(_units(layout, chosen))
    if options.scope is Scope.SYSTEM:
        manager.prepare()
    else:
        changed += _write_drop_in(layout, options, say)
    for path in changed:
        say(f"wrote {path}")
    manager.reload()
    manager.enable()
    if options.now:
        _start_systemd(manager, layout, changed, say)
    if options.scope is Scope.SYSTEM:
        say(f"members of the group {GROUP} may use it ('usermod -aG {GROUP} NAME', then log in again)")
        say(f"programs find the models with HF_HUB_CACHE={layout.folders.cache}/huggingface/hub")
    elif not systemd.lingers(getpass.getuser()):
        say("it stops when you log out, unless you install it with 'hfdm service install --linger'")


def _start_systemd(manager: Systemd, layout: Layout, changed: list[Path], say: Say) -> None:
    was_active = manager.is_active()
    if was_active and not changed:
        say("already running")
        return
    if any(path.name == systemd.SOCKET for path in changed):
        manager.stop()  # so that systemd binds the socket as the new unit says
    if not was_active:
        stop_running(layout.folders.state, say)
    manager.restart()
    say("started")


def _units(layout: Layout, chosen: Path) -> dict[Path, str]:
    return {path: unit_files.unit(name, {"HFDMD": str(chosen)}, unit_files.MARK) for name, path in layout.files.items()}


def _write_drop_in(layout: Layout, options: Options, say: Say) -> list[Path]:
    """The variables of this shell, and a note for `uninstall` when this installation turned linger on."""
    path = layout.drop_in
    if path is None:
        return []
    user = getpass.getuser()
    lingered_by_us = lingers_by_us(layout)
    if options.linger and not systemd.lingers(user):
        systemd.set_linger(user, True)
        lingered_by_us = True
    text = unit_files.drop_in(unit_files.copied_variables(say=say), unit_files.MARK) or ""
    if lingered_by_us:
        text = (text or f"# {unit_files.MARK}\n") + f"# {LINGER_NOTE}\n"
    return unit_files.write({path: text}) if text else unit_files.remove([path])


def lingers_by_us(layout: Layout) -> bool:
    """Whether `install` turned linger on."""
    path = layout.drop_in
    return path is not None and unit_files.is_ours(path) and LINGER_NOTE in path.read_text()


def _install_launchd(layout: Layout, chosen: Path, options: Options, say: Say) -> None:
    job = Launchd(options.scope, layout.main_file, layout.folders.log)
    job.check()
    _check(chosen, options.scope)
    for folder in layout.folders.all:
        folder.mkdir(parents=True, exist_ok=True)
        if options.scope is Scope.SYSTEM:
            shutil.chown(folder, ACCOUNT, GROUP)
            folder.chmod(0o755 if folder == layout.folders.cache else 0o750)
    variables = unit_files.copied_variables(say=say) if options.scope is Scope.USER else {}
    text = unit_files.plist(next(iter(layout.files)), _plist_values(layout, chosen), variables, unit_files.MARK)
    changed = unit_files.write({layout.main_file: text})
    for path in changed:
        say(f"wrote {path}")
    if options.now:
        if job.is_active() and not changed:
            say("already running")
            return
        if not job.is_active():
            stop_running(layout.folders.state, say)
        job.restart()
        say("started")


def _plist_values(layout: Layout, chosen: Path) -> dict[str, str | int]:
    folders = layout.folders
    values: dict[str, str | int] = {
        "HFDMD": str(chosen),
        "SOCKET": str(folders.socket),
        "STATE_DIR": str(folders.state),
        "LOG": str(folders.log),
    }
    if folders.cache is not None:
        values |= {"HF_HOME": str(folders.cache / "huggingface"), "GID": group_id()}
    return values


def uninstall(scope: Scope, say: Say, *, force: bool = False, delete_models: bool = False) -> None:
    """Stops and removes it. Raises `ServiceError`, and changes nothing, when unfinished downloads would be lost.

    `force`: remove the system service although downloads are unfinished. `delete_models`: delete its cache too.
    """
    layout = layout_of(scope)
    if not is_installed(layout):
        say(f"no {scope} service is installed")
        return
    if not unit_files.is_ours(layout.main_file):
        raise ServiceError(f"this {scope} service was not installed by 'hfdm service install': remove its package")
    manager = manager_for(layout)
    manager.check()
    if scope is Scope.SYSTEM and not force and (left := unfinished(layout.folders.state)):
        raise ServiceError(
            f"{len(left)} downloads are not finished and would be lost: {', '.join(left[:3])}"
            f"{' …' if len(left) > 3 else ''}. Let them finish or cancel them, or use --force"
        )
    manager.disable()
    if lingers_by_us(layout):
        systemd.set_linger(getpass.getuser(), False)
    for path in unit_files.remove([*layout.files.values(), *([layout.drop_in] if layout.drop_in else [])]):
        say(f"removed {path}")
    if isinstance(manager, Systemd):
        manager.reload()
    if scope is Scope.SYSTEM:
        _remove_data(layout, say, delete_models)


def _remove_data(layout: Layout, say: Say, delete_models: bool) -> None:
    state, cache = layout.folders.state, layout.folders.cache
    _remove_settings(say)
    if state.is_dir():
        shutil.rmtree(state)
        say(f"removed {state}")
    if cache is not None and cache.is_dir():
        if delete_models or not any(cache.iterdir()):
            shutil.rmtree(cache)
            say(f"removed {cache}")
        else:
            _give_to_root(cache)
            say(f"kept the models in {cache}, now owned by root")
    if layout.manager is Manager.SYSTEMD and systemd.remove_account():
        say("removed the account hfdmd")


def _remove_settings(say: Say) -> None:
    """Removes the settings folder that the installer made, unless an administrator put files there."""
    if not SETTINGS.is_dir():
        return
    if any(SETTINGS.iterdir()):
        say(f"kept your settings in {SETTINGS}")
    else:
        SETTINGS.rmdir()


def _give_to_root(folder: Path) -> None:
    """Makes root the owner: the account is deleted, and its uid may be given to another one later."""
    os.chown(folder, 0, 0, follow_symlinks=False)
    for path, names, others in os.walk(folder):
        for name in (*names, *others):
            os.chown(os.path.join(path, name), 0, 0, follow_symlinks=False)


class _Tracker(msgspec.Struct):
    status: str


def unfinished(state: Path) -> list[str]:
    """The tracker files of downloads that are queued, running or paused, read while no daemon runs."""
    found = []
    for path in sorted((state / "trackers").rglob("*.json")):
        try:
            tracker = msgspec.json.decode(path.read_bytes(), type=_Tracker)
        except (OSError, *MALFORMED):  # deleted meanwhile, or not a tracker file
            continue
        if tracker.status in _UNFINISHED:
            found.append(str(path.relative_to(state / "trackers").with_suffix("")))
    return found
