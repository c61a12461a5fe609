"""The state machine: any order of add, pause, resume, cancel, retry, delete, crash and restart, against a model.

The daemon is a real process. The model knows what a person may rely on: what is paused, done, failed or cancelled stays
so until somebody acts; what moves may have come to its end meanwhile.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from hfdmd.cache.layout import part_name
from tests.daemon_process import Daemon, new_folder
from tests.fakehub import Fault, HubServer, seeded

REPO = "own/machine"
SMALL, MIDDLE, SLOW = b"text\n", seeded(400_000, seed=4), seeded(3_000_000, seed=5)
SHA256 = {
    "small.txt": hashlib.sha256(SMALL).hexdigest(),
    "middle.bin": MIDDLE.sha256,
    "slow.bin": SLOW.sha256,
    "flaky.bin": MIDDLE.sha256,
}
FILES = (*SHA256, "missing.bin")
REPO_INCLUDES = ["small.txt", "middle.bin", "flaky.bin"]
MOVES = frozenset({"queued", "downloading"})
STATUSES = {"queued", "downloading", "paused", "done", "failed", "cancelled"}
TRACKER_STATUSES = {"queued", "in-progress", "paused", "done", "failed", "cancelled"}

files = st.sampled_from(FILES)


@dataclass
class Known:
    """The model of one download: its status, or None while it may change."""

    id: str
    stable: str | None = None


class Machine(RuleBasedStateMachine):
    hub: ClassVar[HubServer]

    def __init__(self) -> None:
        super().__init__()
        self._folder = new_folder()
        self.daemon = Daemon(Path(self._folder.name), self.hub.endpoint).start()
        self.known: dict[str, Known] = {}
        self.repo: str | None = None
        self.versions: dict[str, tuple[int, Any]] = {}

    def teardown(self) -> None:
        self.daemon.kill()
        self._folder.cleanup()

    # Actions of a user

    @rule(file=files, retry=st.booleans())
    def add(self, file: str, retry: bool) -> None:
        before = self.known.get(file)
        answer = self.daemon.post("/api/download", {"modelRepo": REPO, "filePath": file, "retry": retry})
        view = answer.json
        if before is None:
            # 200 if a repo download has created it already.
            assert answer.status in ((202,) if self.repo is None else (200, 202))
        elif before.stable in ("paused", "done") or (before.stable == "failed" and not retry):
            assert (answer.status, view["status"]) == (200, before.stable)
        elif before.stable is not None:
            assert answer.status == 202
        self.known[file] = Known(view["id"], self._stable(view))

    @rule(file=files)
    def pause(self, file: str) -> None:
        self._act("pause", file, refused={"done", "failed", "cancelled"}, result={"paused"})

    @rule(file=files)
    def resume(self, file: str) -> None:
        self._act("resume", file, refused={"done", "failed", "cancelled"}, result=set(MOVES))

    @rule(file=files)
    def cancel(self, file: str) -> None:
        self._act("cancel", file, refused={"done"}, result={"cancelled"})

    @rule(file=files)
    def retry(self, file: str) -> None:
        self._act("retry", file, refused={"paused", "done"}, result={*MOVES, "done", "failed"})

    @rule(file=files, delete_file=st.booleans())
    def delete(self, file: str, delete_file: bool) -> None:
        before = self.known.pop(file, None)
        query = {"modelRepo": REPO, "filePath": file, "deleteFile": str(delete_file).lower()}
        path = self._view(before.id).get("path") if before is not None else None
        answer = self.daemon.call("DELETE", "/api/download", query=query)
        assert answer.status in ((200,) if before is not None else (200, 404) if self.repo else (404,))
        after = self.daemon.get("/api/progress", modelRepo=REPO, filePath=file).status
        assert after == 404 or (after == 200 and self.repo is not None), "only a listing under way names it again"
        if path is not None and delete_file:
            assert not Path(path).exists()

    @rule()
    def add_repo(self) -> None:
        answer = self.daemon.post("/api/download", {"modelRepo": REPO, "include": REPO_INCLUDES})
        assert answer.status in ((202,) if self.repo is None else (200, 202))
        self.repo = answer.json["id"]
        self._unsure()

    @precondition(lambda self: self.repo is not None)
    @rule(action=st.sampled_from(("pause", "resume", "cancel", "retry")))
    def act_on_repo(self, action: str) -> None:
        answer = self.daemon.post(f"/api/{action}", {"id": self.repo})
        assert answer.status in (200, 409) or self._repo_is_gone(answer.status), answer
        if answer.status == 200 and action in ("pause", "cancel"):
            wanted = {"pause": {"paused"}, "cancel": {"cancelled"}}[action]
            (view,) = answer.json["repos"]
            # A file requested alone continues, and so does the repo download that contains it.
            assert view["status"] in wanted or self.known or view["status"] in ("done", "failed")
        self._unsure()

    @precondition(lambda self: self.repo is not None)
    @rule()
    def delete_repo(self) -> None:
        answer = self.daemon.call("DELETE", "/api/download", {"id": self.repo})
        assert answer.status == 200 or self._repo_is_gone(answer.status)
        self.repo = None
        self._unsure()

    @rule()
    def crash(self) -> None:
        self.daemon.kill()
        on_disk = {tracker["id"]: tracker["status"] for tracker in self.daemon.trackers()}
        for known in self.known.values():
            if known.stable == "failed" != on_disk.get(known.id):
                known.stable = None  # published just before it was written: it is tried again
        self.daemon.start()

    @rule()
    def restart(self) -> None:
        assert self.daemon.stop() == 0
        self.daemon.start()

    @rule(file=files)
    def wait(self, file: str) -> None:
        """Wait until one has ended, unless it waits or is slow on purpose."""
        known = self.known.get(file)
        if known is not None and known.stable is None and file in ("small.txt", "middle.bin", "missing.bin"):
            self.daemon.wait(known.id, "done", "failed", "paused", "cancelled")

    # Invariants

    @invariant()
    def views_keep_their_promises(self) -> None:
        answer = self.daemon.get("/api/progress").json
        views = {view["id"]: view for view in answer["downloads"] + answer["repos"]}
        repo = views.get(self.repo)
        is_to_be_listed = repo is not None and (repo["status"] == "queued" or repo["phase"] == "listing")
        for file, known in self.known.items():
            assert known.id in views, "what was asked for is never lost"
            status = views[known.id]["status"]
            assert known.stable in (None, status), f"{known} became {status} by itself"
            known.stable = self._stable(views[known.id])
            if status == "cancelled" and is_to_be_listed and file in REPO_INCLUDES:
                known.stable = None  # the request for the repo needs it again
        for key, view in views.items():
            assert view["status"] in STATUSES
            assert (view["progress"] == 100.0) is (view["status"] == "done")
            assert (view["error"] is not None) is (view["status"] == "failed")
            assert (view["path"] is not None) is (view["status"] == "done")
            seen, before = self.versions.get(key, (0, None))
            assert view["version"] >= seen, f"a version fell by {seen - view['version']}: {before}, {view}"
            steady = [name for name in view if name not in ("bytesPerSecond", "etaSeconds", "queuePosition")]
            state = {name: view[name] for name in steady} if "filePath" in view else view["status"]
            if view["version"] == seen:
                assert state == before, f"a change without a version: {_difference(before, state)}"
            self.versions[key] = (view["version"], state)

    @invariant()
    def what_is_done_is_there_and_right(self) -> None:
        for view in self.daemon.get("/api/progress", status="done").json["downloads"]:
            content = Path(view["path"]).read_bytes()
            assert hashlib.sha256(content).hexdigest() == SHA256[view["filePath"]]

    @invariant()
    def what_is_cancelled_leaves_no_part(self) -> None:
        for view in self.daemon.get("/api/progress", status="cancelled").json["downloads"]:
            assert list(self.daemon.cache.rglob(part_name(view["id"]))) == []

    @invariant()
    def trackers_parse_and_claim_only_what_is_there(self) -> None:
        for path, tracker in self.daemon.tracker_files().items():
            assert list(tracker)[:3] == ["status", "progress", "error"], path
            assert tracker["status"] in TRACKER_STATUSES
            assert (tracker["progress"] == 100) is (tracker["status"] == "done")
            if not tracker.get("synced"):
                continue
            parts = list(self.daemon.cache.rglob(part_name(tracker["id"])))
            try:
                held = parts[0].read_bytes()
            except (IndexError, FileNotFoundError):  # placed or discarded since the tracker was read
                assert self._view(tracker["id"]).get("status") != "paused", tracker
                continue
            content = {"slow.bin": SLOW}.get(tracker["spec"]["filePath"], MIDDLE)
            for start, end in tracker["synced"]:
                assert held[start:end] == content.read(start, end), "the tracker claims what is not on disk"

    # Helpers

    def _act(self, action: str, file: str, *, refused: set[str], result: set[str]) -> None:
        before = self.known.get(file)
        answer = self.daemon.post(f"/api/{action}", {"modelRepo": REPO, "filePath": file})
        if before is None:
            assert answer.status in ((404,) if self.repo is None else (200, 404, 409))
            return
        if before.stable in refused:
            assert (answer.status, answer.code) == (409, "not_allowed_now")
            return
        if answer.status == 409:
            assert before.stable is None, f"{action} of {before} was refused"
            assert self._view(before.id)["status"] in refused, "it came to its end meanwhile"
            return
        (view,) = answer.json["downloads"]
        assert view["status"] in result or (before.stable is None and view["status"] in ("done", "failed"))
        before.stable = self._stable(view)

    def _view(self, key: str) -> Any:
        return self.daemon.get("/api/progress", id=key).json

    def _repo_is_gone(self, status: int) -> bool:
        """Whether the repo download was deleted with the last of its files."""
        views = self.daemon.get("/api/progress").json["downloads"]
        return status == 404 and not any(self.repo in view["repoIds"] for view in views)

    def _unsure(self) -> None:
        """An action on the repo may have moved its files."""
        for file in REPO_INCLUDES:
            if file in self.known:
                self.known[file].stable = None

    @staticmethod
    def _stable(view: Any) -> str | None:
        return None if view["status"] in MOVES else str(view["status"])


def _difference(before: Any, state: Any) -> Any:
    if not isinstance(state, dict):
        return before, state
    return {name: (before[name], state[name]) for name in state if before[name] != state[name]}


@pytest.mark.parametrize("examples", [2, pytest.param(8, marks=pytest.mark.slow)])
def test_any_order_keeps_the_contract(examples: int) -> None:
    with HubServer() as hub:
        hub.add_repo(REPO, {"small.txt": SMALL, "middle.bin": MIDDLE, "slow.bin": SLOW, "flaky.bin": MIDDLE})
        hub.fault(REPO, "slow.bin", Fault.slow(150_000))
        hub.fault(REPO, "flaky.bin", Fault.reset(after=100_000, times=None).passing(1))
        Machine.hub = hub
        run_state_machine_as_test(
            Machine,
            settings=settings(
                max_examples=examples,
                stateful_step_count=25,
                deadline=None,
                database=None,
                phases=(Phase.generate,),  # a process and a clock cannot be shrunk: the steps are printed as they were
                suppress_health_check=list(HealthCheck),
            ),
        )
