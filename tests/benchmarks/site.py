"""The repos of the benchmark's Hub, as files and as configuration for nginx."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.benchmarks.content import Made, git_sha1

PAGE = 1000
"""Entries on a page of the Hub's tree API."""


def commit_of(*words: str) -> str:
    return hashlib.sha1("\0".join(words).encode(), usedforsecurity=False).hexdigest()


@dataclass(slots=True)
class Lfs:
    """A file that the CDN serves. `made.path` is inside the CDN's root; many files may share one body."""

    made: Made
    oid: str | None = None

    @property
    def sha256(self) -> str:
        return self.oid or self.made.sha256


@dataclass(slots=True)
class Repo:
    """A model repo with one branch; `commits` oldest first."""

    name: str
    lfs: dict[str, Lfs] = field(default_factory=dict)
    commits: list[tuple[str, dict[str, bytes]]] = field(default_factory=list)

    @property
    def head(self) -> str:
        return self.commits[-1][0]


class Site:
    """Writes repos below `root`: `api/` holds the JSON answers, `git/` the small files, `cdn/` the big ones."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.repos: dict[str, Repo] = {}
        (root / "cdn").mkdir(parents=True)

    @property
    def cdn(self) -> Path:
        return self.root / "cdn"

    def add(self, name: str, lfs: Mapping[str, Lfs] | None = None, git: Mapping[str, bytes] | None = None) -> Repo:
        """A new repo, or a new commit of an existing one (its LFS files stay)."""
        repo = self.repos.setdefault(name, Repo(name))
        repo.lfs |= lfs or {}
        commit = commit_of(name, str(len(repo.commits)))
        repo.commits.append((commit, dict(git or {})))
        self._write(repo, commit)
        return repo

    def _write(self, repo: Repo, commit: str) -> None:
        files = repo.commits[-1][1]
        body = self.root / "git" / repo.name / commit
        for path, data in files.items():
            target = body / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)
        nodes = [
            {"type": "file", "oid": git_sha1(data), "size": len(data), "path": path} for path, data in files.items()
        ]
        nodes += [
            {
                "type": "file",
                "oid": commit_of(path, file.sha256),
                "size": file.made.size_bytes,
                "lfs": {"oid": file.sha256, "size": file.made.size_bytes, "pointerSize": 135},
                "path": path,
            }
            for path, file in repo.lfs.items()
        ]
        nodes.sort(key=lambda node: str(node["path"]))
        info = {
            "id": repo.name,
            "modelId": repo.name,
            "sha": commit,
            "private": False,
            "gated": False,
            "disabled": False,
            "downloads": 0,
            "likes": 0,
            "tags": [],
            "siblings": [{"rfilename": node["path"]} for node in nodes],
        }
        api = self.root / "api/models" / repo.name
        self._put(api.parent / f"{api.name}.json", info)
        for revision in ("main", commit):
            self._put(api / "revision" / f"{revision}.json", info)
            self._put(api / "revision" / f"{revision}.json.sha", {"id": repo.name, "sha": commit})  # with ?expand=sha
            for page, start in enumerate(range(0, max(1, len(nodes)), PAGE)):
                self._put(api / "tree" / f"{revision}.json{f'.{page}' if page else ''}", nodes[start : start + PAGE])

    def _put(self, file: Path, value: object) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(value))

    def etags(self) -> str:
        """nginx map entries: "repo revision path" to the quoted etag of a small file."""
        lines = []
        for repo in self.repos.values():
            for commit, files in repo.commits:
                revisions = [commit, "main"] if commit == repo.head else [commit]
                for path, data in files.items():
                    lines += [f'"{repo.name} {revision} {path}" \'"{git_sha1(data)}"\';' for revision in revisions]
        return "\n".join(lines)

    def next_pages(self, base_url: str) -> str:
        """nginx map entries: the file of a listing's page to the Link header to the next one."""
        lines = []
        for repo in self.repos.values():
            for commit, files in repo.commits:
                pages = -(-(len(files) + len(repo.lfs)) // PAGE)
                for revision in (commit, "main"):
                    uri = f"/api/models/{repo.name}/tree/{revision}"
                    for page in range(pages - 1):
                        key = f"{uri}.json{f'.{page}' if page else ''}"
                        url = f"{base_url}{uri}?recursive=true&expand=false&cursor={page + 1}"
                        lines.append(f'"{key}" \'<{url}>; rel="next"\';')
        return "\n".join(dict.fromkeys(lines))
