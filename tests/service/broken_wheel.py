"""Makes a wheel of a later version whose daemon says its version and ends with an error as a service."""

from __future__ import annotations

import base64
import hashlib
import sys
import zipfile
from pathlib import Path

VERSION = "99.0"
SERVICE = f'''"""Broken on purpose."""

import sys


def main() -> None:
    if "--version" in sys.argv:
        print("hfdmd {VERSION}")
        return
    sys.exit("broken on purpose")
'''


def main(source: Path, folder: Path) -> None:
    """Copies the wheel with `hfdmd.service` and the version replaced."""
    old = source.name.split("-")[1]
    target = folder / f"hfdmd-{VERSION}-py3-none-any.whl"
    with zipfile.ZipFile(source) as given, zipfile.ZipFile(target, "w") as made:
        lines = []
        record = ""
        for name in given.namelist():
            data = given.read(name)
            name = name.replace(f"hfdmd-{old}.dist-info", f"hfdmd-{VERSION}.dist-info")
            if name.endswith("/RECORD"):
                record = name
                continue
            if name == "hfdmd/service.py":
                data = SERVICE.encode()
            if name.endswith("/METADATA"):
                data = data.replace(f"\nVersion: {old}\n".encode(), f"\nVersion: {VERSION}\n".encode(), 1)
            made.writestr(name, data)
            digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
            lines.append(f"{name},sha256={digest},{len(data)}\n")
        made.writestr(record, "".join(lines) + f"{record},,\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
