"""Reads what the README's first command downloaded, offline, as a user would. Argument: the path that it printed."""

from __future__ import annotations

import hashlib
import json
import struct
import sys
from pathlib import Path

from huggingface_hub import hf_hub_download, scan_cache_dir, snapshot_download

REPO = "sentence-transformers/all-MiniLM-L6-v2"
SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"

path = hf_hub_download(REPO, "model.safetensors", local_files_only=True)
assert path == sys.argv[1], (path, sys.argv[1])
data = Path(path).read_bytes()
assert len(data) == 90_868_376, len(data)
assert hashlib.sha256(data).hexdigest() == SHA256
(length,) = struct.unpack("<Q", data[:8])
tensors = [name for name in json.loads(data[8 : 8 + length]) if name != "__metadata__"]
assert len(tensors) > 100, len(tensors)
files = [file for file in Path(snapshot_download(REPO, local_files_only=True)).rglob("*") if file.is_file()]
assert len(files) == 13, files
assert not scan_cache_dir().warnings
print(f"{len(tensors)} tensors, {len(files)} files, all read offline")
