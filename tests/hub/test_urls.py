"""URLs of the Hub: the next page of a list stays on its origin."""

from __future__ import annotations

import pytest

from hfdmd.failure import Failure
from hfdmd.hub.urls import next_page
from hfdmd.wire.types import Reason


@pytest.mark.parametrize(
    "link", ["http://169.254.169.254/x", "file:///etc/passwd", "//evil/x", "http://[::1", "\\\\e\\x"]
)
def test_next_pages_elsewhere(link: str) -> None:
    url = "https://hub.example/api/models/a/tree/x"
    if link.startswith("\\"):
        assert next_page("https://hub.example", url, link).startswith("https://hub.example/")
    else:
        with pytest.raises(Failure, match=Reason.HUB_UNAVAILABLE):
            next_page("https://hub.example", url, link)


def test_a_mirror_that_passes_on_the_hubs_own_links() -> None:
    url = "https://mirror.example/hf/api/models/a/tree/x"
    target = next_page("https://mirror.example/hf", url, "https://huggingface.co/api/models/a/tree/x?cursor=1")
    assert target == "https://mirror.example/hf/api/models/a/tree/x?cursor=1"
