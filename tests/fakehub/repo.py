"""Repos of the test Hub: files, commits, branches, tags; git and LFS files as on the Hub."""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import count

from tests.fakehub.content import Content

LFS_FROM_BYTES = 1_000_000
LFS_ENDINGS = (
    *(".safetensors", ".gguf", ".bin", ".h5", ".msgpack", ".onnx", ".ot", ".pt", ".pth", ".ckpt", ".npy", ".npz"),
    *(".parquet", ".arrow", ".tar", ".gz", ".zip", ".7z", ".zst", ".pkl", ".pickle", ".model", ".tflite", ".wasm"),
)
KINDS = {"model": "models", "dataset": "datasets", "space": "spaces"}

LfsRule = bool | Collection[str] | Callable[[str], bool] | None
"""Which files are LFS: all or none, these paths, a function's result, or (None) by name and size as on the Hub."""


@dataclass(frozen=True, slots=True)
class File:
    """One file of a commit. `lfs`: named by its sha256 and served by the CDN; else by its git sha1 and the Hub."""

    content: Content
    lfs: bool
    xet_hash: str | None = None

    @property
    def size_bytes(self) -> int:
        return self.content.size_bytes

    @property
    def etag(self) -> str:
        """The digest of the file's content (without quotes)."""
        return self.content.sha256 if self.lfs else self.content.git_sha1

    @property
    def git_oid(self) -> str:
        """The oid of git's blob: of the content, or of the LFS pointer."""
        if not self.lfs:
            return self.content.git_sha1
        return hashlib.sha1(b"blob %d\0%s" % (len(self.pointer), self.pointer), usedforsecurity=False).hexdigest()

    def entry(self, path: str) -> dict[str, object]:
        """The file as a listing shows it."""
        entry: dict[str, object] = {"type": "file", "oid": self.git_oid, "size": self.size_bytes, "path": path}
        if self.lfs:
            entry["lfs"] = {"oid": self.etag, "size": self.size_bytes, "pointerSize": len(self.pointer)}
        if self.xet_hash:
            entry["xetHash"] = self.xet_hash
        return entry

    @property
    def pointer(self) -> bytes:
        """The LFS pointer file that git stores."""
        text = f"version https://git-lfs.github.com/spec/v1\noid sha256:{self.content.sha256}\nsize {self.size_bytes}\n"
        return text.encode()


class Commit:
    """One commit: its id and every file in it."""

    def __init__(self, oid: str, files: Mapping[str, File]) -> None:
        self.oid = oid
        self.files = files

    @cached_property
    def paths(self) -> list[str]:
        """Every file's path, sorted."""
        return sorted(self.files)

    @cached_property
    def folders(self) -> frozenset[str]:
        """Every folder's path."""
        found: set[str] = set()
        for path in self.files:
            while (path := path.rpartition("/")[0]) and path not in found:
                found.add(path)
        return frozenset(found)

    @cached_property
    def everything(self) -> list[str]:
        """Files and folders, sorted, as in a recursive listing."""
        return sorted([*self.paths, *self.folders])

    def below(self, folder: str) -> list[str]:
        """Direct entries of `folder` ("" is the root), sorted."""
        return [path for path in self.everything if path.rpartition("/")[0] == folder]

    def under(self, folder: str) -> list[str]:
        """Everything anywhere under `folder`, sorted."""
        if not folder:
            return self.everything
        prefix = folder + "/"
        first = bisect_right(self.everything, prefix)
        last = bisect_right(self.everything, prefix + "\U0010ffff")
        return self.everything[first:last]

    def entry(self, path: str) -> dict[str, object]:
        """One line of a listing."""
        if (file := self.files.get(path)) is not None:
            return file.entry(path)
        oid = hashlib.sha1(f"tree {self.oid} {path}".encode(), usedforsecurity=False).hexdigest()
        return {"type": "directory", "oid": oid, "size": 0, "path": path}


def stand_in_xet_hash(content: Content) -> str:
    """For a Hub without a CAS: 64 hex digits that depend on the content alone."""
    return hashlib.sha256(b"xet" + content.sha256.encode()).hexdigest()


@dataclass
class Repo:
    """One repo: its commits and refs. `kind` is the plural of the API's routes."""

    name: str
    kind: str = "models"
    gated: bool = False
    private: bool = False
    lfs: LfsRule = None
    commits: dict[str, Commit] = field(default_factory=dict)
    refs: dict[str, str] = field(default_factory=dict)
    """Full name ("refs/heads/main", "refs/tags/v1", "refs/pr/1") to commit id."""
    xet_hash_of: Callable[[Content], str] = stand_in_xet_hash
    xet_paths: dict[str, str] = field(default_factory=dict)
    """Xet hash of every file that any commit offers by Xet, to its newest path."""
    _numbers: count[int] = field(default_factory=count)

    def commit(
        self,
        files: Mapping[str, Content | None],
        branch: str = "main",
        *,
        replace: bool = False,
        lfs: LfsRule = None,
        xet: bool | Collection[str] = False,
    ) -> Commit:
        """A new commit on `branch` (made from main when new): `files` added or changed, those that are None deleted."""
        ref = full_ref(branch)
        before = self.refs.get(ref) or self.refs.get("refs/heads/main")
        tree = {} if replace or before is None else dict(self.commits[before].files)
        rule = self.lfs if lfs is None else lfs
        for path, content in files.items():
            if content is None:
                del tree[path]
            else:
                by_xet = xet if isinstance(xet, bool) else path in xet
                tree[path] = File(content, is_lfs(rule, path, content), self.xet_hash_of(content) if by_xet else None)
                if (xet_hash := tree[path].xet_hash) is not None:
                    self.xet_paths[xet_hash] = path
        seed = f"{self.kind}/{self.name} {next(self._numbers)} {before} {ref} {len(tree)}"
        made = Commit(hashlib.sha1(seed.encode(), usedforsecurity=False).hexdigest(), tree)
        self.commits[made.oid] = made
        self.refs[ref] = made.oid
        return made

    def find(self, revision: str) -> Commit | None:
        """The commit that a branch, a tag, a full ref or a commit id names."""
        for name in (revision, f"refs/heads/{revision}", f"refs/tags/{revision}"):
            oid = self.refs.get(name)
            if oid is not None:
                return self.commits.get(oid)
        return self.commits.get(revision)


def full_ref(branch: str) -> str:
    """A branch's full name; a full name is returned unchanged."""
    return branch if branch.startswith("refs/") else f"refs/heads/{branch}"


def is_lfs(rule: LfsRule, path: str, content: Content) -> bool:
    """Whether `path` is kept as an LFS file under `rule`."""
    match rule:
        case bool():
            return rule
        case None:
            return content.size_bytes >= LFS_FROM_BYTES or path.lower().endswith(LFS_ENDINGS)
        case Collection():
            return path in rule
        case _:
            return rule(path)
