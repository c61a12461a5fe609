"""`hfdm service uninstall`: everything that the installation and the system service made goes, but for the models."""

from __future__ import annotations

import getpass
import os
import shutil
from pathlib import Path

from hfdmd_client.service import files, systemd
from hfdmd_client.service.actions import Say, is_installed, manager_for
from hfdmd_client.service.errors import ServiceError
from hfdmd_client.service.installing import lingers_by_us
from hfdmd_client.service.layout import Layout, Manager, Scope, layout_of
from hfdmd_client.service.systemd import Systemd
from hfdmd_client.service.unfinished import unfinished

SETTINGS = Path("/etc/hfdmd")


def uninstall(scope: Scope, say: Say, *, force: bool = False, delete_models: bool = False) -> None:
    """Stops it and takes it away. Raises ServiceError, having changed nothing, when that would lose something.

    `force`: also when the system service's downloads are not finished. `delete_models`: the system service's cache too.
    """
    layout = layout_of(scope)
    if not is_installed(layout):
        say(f"no {scope} service is installed")
        return
    if not files.is_ours(layout.main_file):
        raise ServiceError(f"this {scope} service was not installed by 'hfdm service install': remove its package")
    manager = manager_for(layout)
    manager.check()
    if scope is Scope.SYSTEM and not force and (left := unfinished(layout.folders.state)):
        raise ServiceError(
            f"{len(left)} downloads are not finished, and uninstalling forgets them: {', '.join(left[:3])}"
            f"{' …' if len(left) > 3 else ''}. Let them finish or cancel them, or use --force"
        )
    manager.disable()
    if lingers_by_us(layout):
        systemd.set_linger(getpass.getuser(), False)
    for path in files.remove([*layout.files.values(), *([layout.drop_in] if layout.drop_in else [])]):
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
