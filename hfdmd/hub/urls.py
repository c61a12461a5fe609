"""The Hub's URLs. Source: `huggingface_hub.hf_hub_url` and `HfApi`."""

from __future__ import annotations

from functools import lru_cache
from urllib.parse import quote, urljoin, urlsplit

from hfdmd.failure import Failure
from hfdmd.net.origin import origin
from hfdmd.record import FileSpec, RepoSpec
from hfdmd.wire.environment import DEFAULT_ENDPOINT
from hfdmd.wire.types import Reason, RepoType

_PREFIX = {RepoType.MODEL: "", RepoType.DATASET: "datasets/", RepoType.SPACE: "spaces/"}


def file_url(endpoint: str, spec: FileSpec, revision: str) -> str:
    """The URL that the Hub resolves one file at."""
    return _folder_url(endpoint, spec.repo_type, spec.model_repo, revision) + quote(spec.file_path)


@lru_cache(maxsize=256)
def _folder_url(endpoint: str, repo_type: RepoType, model_repo: str, revision: str) -> str:
    return f"{endpoint}/{_PREFIX[repo_type]}{quote(model_repo)}/resolve/{quote(revision, safe='')}/"


def without_user(endpoint: str) -> str:
    """The endpoint for details and logs: without a user name and a password, which those of mirrors may have."""
    parts = urlsplit(endpoint)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def page_url(endpoint: str, spec: FileSpec | RepoSpec) -> str:
    """The web page of the repo."""
    return f"{without_user(endpoint)}/{_PREFIX[spec.repo_type]}{quote(spec.model_repo)}"


def revision_url(endpoint: str, spec: RepoSpec) -> str:
    """The description of a revision, with its commit."""
    return f"{_api(endpoint, spec)}/revision/{quote(spec.revision, safe='')}"


ONLY_SHA = "expand=sha"
"""The query that leaves out the list of files, which can be long."""

FIRST_PAGE = "recursive=true&expand=false"


def tree_url(endpoint: str, spec: RepoSpec, commit: str, query: str = FIRST_PAGE) -> str:
    """A page of the list of a commit's files; `query` selects it."""
    return f"{_api(endpoint, spec)}/tree/{commit}?{query}"


def paths_info_url(endpoint: str, spec: RepoSpec, commit: str) -> str:
    """Entries of single files of a commit, whose paths are sent in the body."""
    return f"{_api(endpoint, spec)}/paths-info/{commit}"


def xet_token_url(endpoint: str, spec: RepoSpec, commit: str) -> str:
    """A token that reads the files of a commit from the store of Xet."""
    return f"{_api(endpoint, spec)}/xet-read-token/{commit}"


def next_page(endpoint: str, url: str, link: str) -> str:
    """The absolute URL of the next page.

    `url` is where the page came from, after redirects. As in `huggingface_hub`, the default endpoint in a link is
    replaced by `endpoint`, since mirrors pass on the Hub's own links. Raises `Failure` (hub_unavailable) for a link to
    a server that is neither the Hub nor the one that the page came from.
    """
    try:
        target = urljoin(url, link)
        stays = origin(target) in (origin(endpoint), origin(url))
        if not stays and target.startswith(DEFAULT_ENDPOINT + "/"):
            target, stays = endpoint + target[len(DEFAULT_ENDPOINT) :], True
    except ValueError:
        target, stays = "", False
    if not stays:
        raise Failure(
            Reason.HUB_UNAVAILABLE,
            f"The Hub at {without_user(endpoint)} links to another server for the rest of its list of files.",
        )
    return target


def _api(endpoint: str, spec: RepoSpec) -> str:
    return f"{endpoint}/api/{spec.repo_type.value}s/{quote(spec.model_repo)}"
