"""What `hfdm service …` does. Every function raises ServiceError with the reason and reports through `say`."""

from __future__ import annotations

import getpass
import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from hfdmd_client.service import environment, files, program, systemd, templates
from hfdmd_client.service.errors import ServiceError
from hfdmd_client.service.handover import stop_running
from hfdmd_client.service.launchd import Launchd, group_id
from hfdmd_client.service.layout import Layout, Manager, Scope, layout_of, manager_of
from hfdmd_client.service.systemd import Systemd
from hfdmd_client.service.unfinished import unfinished

Say = Callable[[str], None]

SETTINGS = Path("/etc/hfdmd")
_LINGER_NOTE = "linger: turned on by 'hfdm service install'"


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
    """Writes the units and enables them. The same again changes nothing; a new version brings them up to date."""
    layout = layout_of(options.scope, root=options.root)
    if options.root is not None:
        _stage(layout, options.program, say)
        return
    chosen = options.program or program.find()
    if layout.manager is Manager.LAUNCHD:
        _install_launchd(layout, chosen, options, say)
    else:
        _install_systemd(layout, chosen, options, say)


def uninstall(scope: Scope, say: Say, *, force: bool = False, delete_models: bool = False) -> None:
    """Takes away everything that `install` and the system service made, but for the models, unless asked."""
    layout = layout_of(scope)
    if not _is_installed(layout):
        say(f"no {scope} service is installed")
        return
    unit = next(iter(layout.files.values()))
    if not files.is_ours(unit):
        raise ServiceError(f"this {scope} service was not installed by 'hfdm service install': remove its package")
    if scope is Scope.SYSTEM and not force and (left := unfinished(layout.folders.state)):
        raise ServiceError(
            f"{len(left)} downloads are not finished, and uninstalling forgets them: {', '.join(left[:3])}"
            f"{' …' if len(left) > 3 else ''}. Let them finish or cancel them, or use --force"
        )
    if layout.manager is Manager.LAUNCHD:
        job = Launchd(scope, next(iter(layout.files.values())))
        job.check()
        job.unload()
    else:
        manager = Systemd(scope)
        manager.check()
        manager.disable()
        _end_linger(layout)
    for path in files.remove([*layout.files.values(), *([layout.drop_in] if layout.drop_in else [])]):
        say(f"removed {path}")
    if layout.manager is Manager.SYSTEMD:
        Systemd(scope).reload()
    if scope is Scope.SYSTEM:
        _remove_data(layout, say, delete_models)


def start(scope: Scope, say: Say) -> None:
    """Starts the installed service, also after it failed too often."""
    layout = _installed(scope)
    if layout.manager is Manager.LAUNCHD:
        job = Launchd(scope, next(iter(layout.files.values())))
        job.check()
        job.start()
    else:
        manager = Systemd(scope)
        manager.check()
        if not manager.is_active():
            stop_running(layout.folders.state, say)
        manager.start()
    say("started")


def stop(scope: Scope, say: Say) -> None:
    """Stops daemon and socket until the next login, boot or `start`. Downloads go on from there."""
    layout = _installed(scope)
    if layout.manager is Manager.LAUNCHD:
        job = Launchd(scope, next(iter(layout.files.values())))
        job.check()
        job.unload()
    else:
        manager = Systemd(scope)
        manager.check()
        manager.stop()
    say("stopped; it starts again at the next login or boot, or with 'hfdm service start'")


def status(scope: Scope, say: Say) -> bool:
    """Says how the service is; True when it runs, or waits at its socket for the first request."""
    layout = layout_of(scope)
    if not _is_installed(layout):
        say("not installed")
        return False
    if layout.manager is Manager.LAUNCHD:
        lines = Launchd(scope, next(iter(layout.files.values()))).in_words()
        for line in lines:
            say(line)
        return any(line.startswith("state = running") for line in lines)
    manager = Systemd(scope)
    service, socket = manager.show(), manager.show(systemd.SOCKET)
    for line in systemd.in_words(service, socket, manager.cure):
        say(line)
    if scope is Scope.USER:
        lingers = systemd.lingers(getpass.getuser())
        say("linger: on, it runs without a login" if lingers else "linger: off, it runs while you are logged in")
    return "active" in (service["ActiveState"], socket["ActiveState"])


def logs_command(scope: Scope, *, lines: int = 100, follow: bool = False) -> list[str]:
    """The command that shows the log, to be run in the caller's place."""
    layout = layout_of(scope)
    if layout.manager is Manager.LAUNCHD:
        return ["tail", "-n", str(lines), *(["-F"] if follow else []), str(layout.folders.log)]
    return Systemd(scope).logs_command(lines, follow)


def installed_scope() -> Scope | None:
    """Whose service is installed here, by this command or by a package: the user's own before the system's."""
    return next((scope for scope in Scope if _is_installed(layout_of(scope))), None)


def _install_systemd(layout: Layout, chosen: Path, options: Options, say: Say) -> None:
    manager = Systemd(options.scope)
    manager.check()
    if options.scope is Scope.SYSTEM:
        program.check_system(chosen)
    else:
        program.check_user(chosen)
    changed = files.write(_texts(layout, chosen))
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
    _hints(layout, options, say)


def _start_systemd(manager: Systemd, layout: Layout, changed: list[Path], say: Say) -> None:
    was_active = manager.is_active()
    if any(path.name == systemd.SOCKET for path in changed):
        manager.renew_socket()
    if not was_active:
        stop_running(layout.folders.state, say)
    if was_active and not changed:
        say("already running")
    else:
        manager.restart()
        say("started")


def _install_launchd(layout: Layout, chosen: Path, options: Options, say: Say) -> None:
    path = next(iter(layout.files.values()))
    job = Launchd(options.scope, path)
    job.check()
    if options.scope is Scope.SYSTEM:
        program.check_system(chosen)
    else:
        program.check_user(chosen)
    for folder in layout.folders.all:
        folder.mkdir(parents=True, exist_ok=True)
        if options.scope is Scope.SYSTEM:
            shutil.chown(folder, "_hfdmd", "hfdmd")
            folder.chmod(0o755 if folder == layout.folders.cache else 0o750)
    carried = environment.carried(say=say) if options.scope is Scope.USER else {}
    text = templates.plist(next(iter(layout.files)), _plist_values(layout, chosen), carried, files.MARK)
    for changed in files.write({path: text}):
        say(f"wrote {changed}")
    if options.now:
        if not job.is_loaded():
            stop_running(layout.folders.state, say)
        job.load()
        say("started")


def _texts(layout: Layout, chosen: Path) -> dict[Path, str]:
    return {path: templates.unit(name, {"HFDMD": str(chosen)}, files.MARK) for name, path in layout.files.items()}


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


def _write_drop_in(layout: Layout, options: Options, say: Say) -> list[Path]:
    """The installing shell's environment, and whether linger was turned on, which `uninstall` wants to know."""
    path = layout.drop_in
    assert path is not None  # noqa: S101  the user's layout has one
    user = getpass.getuser()
    lingered_by_us = files.is_ours(path) and _LINGER_NOTE in path.read_text()
    if options.linger and not systemd.lingers(user):
        systemd.set_linger(user, True)
        lingered_by_us = True
    text = environment.drop_in(environment.carried(say=say), files.MARK) or ""
    if lingered_by_us:
        text = (text or f"# {files.MARK}\n") + f"# {_LINGER_NOTE}\n"
    if text:
        return files.write({path: text})
    return files.remove([path])


def _end_linger(layout: Layout) -> None:
    path = layout.drop_in
    if path is not None and files.is_ours(path) and _LINGER_NOTE in path.read_text():
        systemd.set_linger(getpass.getuser(), False)


def _hints(layout: Layout, options: Options, say: Say) -> None:
    if options.scope is Scope.SYSTEM:
        say("who may use it: members of the group hfdmd ('usermod -aG hfdmd NAME', then a new login)")
        say(f"where programs find the models: HF_HUB_CACHE={layout.folders.cache}/huggingface/hub")
    elif not systemd.lingers(getpass.getuser()):
        say("it stops when you log out; 'hfdm service install --linger' keeps it running")


def _stage(layout: Layout, chosen: Path | None, say: Say) -> None:
    if layout.manager is Manager.LAUNCHD:
        raise ServiceError("--root is for systemd's packages; on macOS there is none of it")
    path = chosen or program.find()
    if not path.is_absolute():
        raise ServiceError(f"{path} is no absolute path")
    for changed in files.write(_texts(layout, path)):
        say(f"wrote {changed}")


def _installed(scope: Scope) -> Layout:
    layout = layout_of(scope)
    if not _is_installed(layout):
        raise ServiceError(f"no {scope} service is installed; 'hfdm service install --{scope}' does that")
    return layout


def _is_installed(layout: Layout) -> bool:
    if manager_of(sys.platform) is Manager.LAUNCHD:
        return all(path.exists() for path in layout.files.values())
    name = f"systemd/{layout.scope}/{systemd.SERVICE}"
    packaged = Path("/usr/lib/systemd", layout.scope, systemd.SERVICE)
    return layout.files[name].exists() or packaged.exists()


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
            say(f"kept the models in {cache}, now root's")
    if layout.manager is Manager.SYSTEMD and systemd.remove_account():
        say("removed the account hfdmd")


def _remove_settings(say: Say) -> None:
    """The folder for them, which the installer made; what an administrator put there stays."""
    if not SETTINGS.is_dir():
        return
    if any(SETTINGS.iterdir()):
        say(f"kept your settings in {SETTINGS}")
    else:
        SETTINGS.rmdir()


def _give_to_root(folder: Path) -> None:
    """The account goes, and its number may be given to somebody else one day."""
    os.chown(folder, 0, 0, follow_symlinks=False)
    for path, names, others in os.walk(folder):
        for name in (*names, *others):
            os.chown(os.path.join(path, name), 0, 0, follow_symlinks=False)
