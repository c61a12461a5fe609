"""`hfdm service install`: the files for this installation, made known to the service manager."""

from __future__ import annotations

import getpass
import shutil
from dataclasses import dataclass
from pathlib import Path

from hfdmd_client.service import environment, files, program, systemd, templates
from hfdmd_client.service.actions import Say
from hfdmd_client.service.errors import ServiceError
from hfdmd_client.service.handover import stop_running
from hfdmd_client.service.launchd import ACCOUNT, Launchd, group_id
from hfdmd_client.service.layout import GROUP, Layout, Manager, Scope, layout_of
from hfdmd_client.service.systemd import Systemd

LINGER_NOTE = "linger: turned on by 'hfdm service install'"


@dataclass(frozen=True, slots=True)
class Options:
    """What `install` is asked for."""

    scope: Scope
    now: bool = False
    """Start it as well; without, it starts at the next login or boot, or at the first request."""
    linger: bool = False
    """The user service runs from boot on, and after logging out."""
    root: Path | None = None
    """Only write the files, below this folder: for packagers and images."""
    program: Path | None = None
    """The `hfdmd` to start, as the service will see it; None: the one of this installation."""


def install(options: Options, say: Say) -> None:
    """Writes the units and enables them. The same again changes nothing; a new version brings them up to date.

    Raises ServiceError, having changed nothing, when it could not work.
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
        raise ServiceError("--root is for systemd's packages; on macOS there is none of it")
    if not chosen.is_absolute():
        raise ServiceError(f"{chosen} is no absolute path")
    for changed in files.write(_units(layout, chosen)):
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
    changed = files.write(_units(layout, chosen))
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
        say(f"who may use it: members of the group {GROUP} ('usermod -aG {GROUP} NAME', then a new login)")
        say(f"where programs find the models: HF_HUB_CACHE={layout.folders.cache}/huggingface/hub")
    elif not systemd.lingers(getpass.getuser()):
        say("it stops when you log out; 'hfdm service install --linger' keeps it running")


def _start_systemd(manager: Systemd, layout: Layout, changed: list[Path], say: Say) -> None:
    was_active = manager.is_active()
    if was_active and not changed:
        say("already running")
        return
    if any(path.name == systemd.SOCKET for path in changed):
        manager.stop()  # so that the socket is bound as its new unit says
    if not was_active:
        stop_running(layout.folders.state, say)
    manager.restart()
    say("started")


def _units(layout: Layout, chosen: Path) -> dict[Path, str]:
    return {path: templates.unit(name, {"HFDMD": str(chosen)}, files.MARK) for name, path in layout.files.items()}


def _write_drop_in(layout: Layout, options: Options, say: Say) -> list[Path]:
    """The installing shell's environment, and whether linger was turned on, which `uninstall` wants to know."""
    path = layout.drop_in
    if path is None:
        return []
    user = getpass.getuser()
    lingered_by_us = lingers_by_us(layout)
    if options.linger and not systemd.lingers(user):
        systemd.set_linger(user, True)
        lingered_by_us = True
    text = environment.drop_in(environment.carried(say=say), files.MARK) or ""
    if lingered_by_us:
        text = (text or f"# {files.MARK}\n") + f"# {LINGER_NOTE}\n"
    return files.write({path: text}) if text else files.remove([path])


def lingers_by_us(layout: Layout) -> bool:
    """Whether `install` turned linger on."""
    path = layout.drop_in
    return path is not None and files.is_ours(path) and LINGER_NOTE in path.read_text()


def _install_launchd(layout: Layout, chosen: Path, options: Options, say: Say) -> None:
    job = Launchd(options.scope, layout.main_file, layout.folders.log)
    job.check()
    _check(chosen, options.scope)
    for folder in layout.folders.all:
        folder.mkdir(parents=True, exist_ok=True)
        if options.scope is Scope.SYSTEM:
            shutil.chown(folder, ACCOUNT, GROUP)
            folder.chmod(0o755 if folder == layout.folders.cache else 0o750)
    carried = environment.carried(say=say) if options.scope is Scope.USER else {}
    text = templates.plist(next(iter(layout.files)), _plist_values(layout, chosen), carried, files.MARK)
    changed = files.write({layout.main_file: text})
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
