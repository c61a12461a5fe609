"""The Python client of hfdmd, the Hugging Face Download Manager daemon.

    from hfdmd_client import Client

    with Client() as hfdmd:
        print(hfdmd.download("owner/name", "config.json").path)

The public names are listed in `__init__.pyi`, one a line. Each is imported at its first use (PEP 562), so that
importing the package is nearly free.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_modules: dict[str, str] = {}


def _module_of() -> dict[str, str]:
    """The module that each public name is imported from, as `__init__.pyi` says: `from MODULE import NAME as NAME`."""
    if not _modules:
        with open(f"{__path__[0]}/__init__.pyi", encoding="utf-8") as stub:
            lines = [line.split() for line in stub if line.startswith("from ")]
        _modules.update({name: module for _, module, _, name, *_ in lines})
    return _modules


def __getattr__(name: str) -> Any:
    if name == "__all__":
        return [public for public in _module_of() if public != "__version__"]
    if name not in _module_of():
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_modules[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_module_of(), "__all__"})
