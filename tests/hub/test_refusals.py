"""Error responses of the Hub and what they mean for a download."""

from __future__ import annotations

import pytest

from hfdmd.failure import Failure
from hfdmd.hub.client import Hub
from hfdmd.wire.types import Reason, RepoType
from tests.cache.files import REPO, spec_of
from tests.fakehub import Fault, HubServer
from tests.hub.conftest import TOKEN, MakeHub, failure


async def test_what_is_not_there(server: HubServer, hub: Hub, commit: str) -> None:
    assert (await failure(hub, "nope.bin")).reason is Reason.FILE_NOT_FOUND
    gone = await failure(hub, revision="nope")
    assert gone.reason is Reason.REVISION_NOT_FOUND
    assert "nope" in gone.detail
    server.remove_repo(REPO)
    missing = await failure(hub)
    assert missing.reason is Reason.REPO_NOT_FOUND
    assert REPO in missing.detail
    assert "hfdm login" in missing.detail


async def test_gated_and_private(server: HubServer, make_hub: MakeHub) -> None:
    server.add_repo("owner/gated", {"a": b"1"}, gated=True)
    server.add_repo("owner/private", {"a": b"1"}, private=True)
    server.add_token("hf_nobody", opens=[])
    server.add_token(TOKEN)
    for token, name, expected in (
        (None, "owner/gated", Reason.GATED),
        ("hf_nobody", "owner/gated", Reason.GATED),
        (None, "owner/private", Reason.REPO_NOT_FOUND),
        ("hf_nobody", "owner/private", Reason.REPO_NOT_FOUND),
    ):
        spec = type(spec_of("a"))(repo_type=RepoType.MODEL, model_repo=name, revision="main", file_path="a")
        with pytest.raises(Failure) as caught:
            await make_hub(server.endpoint, token=token).resolve(spec)
        assert caught.value.reason is expected, (token, name)
        if expected is Reason.GATED:
            assert f"{server.endpoint}/{name}" in caught.value.detail
        await make_hub(server.endpoint, token=TOKEN).resolve(spec)


@pytest.mark.parametrize(
    ("token", "code", "expected"),
    [
        (None, 401, Reason.REPO_NOT_FOUND),
        (TOKEN, 401, Reason.UNAUTHORIZED),
        (TOKEN, 403, Reason.UNAUTHORIZED),
        (None, 403, Reason.UNAUTHORIZED),
        (None, 404, Reason.FILE_NOT_FOUND),
        (None, 400, Reason.INTERNAL),
        (None, 500, Reason.HUB_UNAVAILABLE),
        (None, 503, Reason.HUB_UNAVAILABLE),
        (None, 418, Reason.HUB_UNAVAILABLE),
    ],
)
async def test_statuses_without_a_code(
    server: HubServer, make_hub: MakeHub, commit: str, token: str | None, code: int, expected: Reason
) -> None:
    server.add_token(TOKEN)
    server.fault(REPO, "config.json", Fault.status(code, times=None).at("head"))
    assert (await failure(make_hub(server.endpoint, token=token))).reason is expected


async def test_rate_limits_are_passed_on_and_shared(server: HubServer, hub: Hub, commit: str) -> None:
    server.fault(REPO, "config.json", Fault.busy(reset_s=87, on="head"))
    limited = await failure(hub)
    assert limited.reason is Reason.RATE_LIMITED
    assert limited.retry_after_s == pytest.approx(87, abs=1)
    context = len(server.log)
    assert (await failure(hub, "model.safetensors")).reason is Reason.RATE_LIMITED
    assert len(server.log) == context
