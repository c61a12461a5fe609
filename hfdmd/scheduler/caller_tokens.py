"""Hub tokens that callers brought for what they asked for. In memory only: a restart forgets them."""

from __future__ import annotations

from hfdmd.hub.client import Hub
from hfdmd.record import FileRecord, Record
from hfdmd.scheduler.ledger import Observer
from hfdmd.wire.types import Status

_ENDED = (Status.DONE, Status.FAILED, Status.CANCELLED)
_FINISHED = (Status.DONE, Status.CANCELLED)


class CallerTokens(Observer):
    """One token at most for each download and repo download. Never stored, shown or logged.

    The first caller's token is used until the download has ended, so that a second caller with less access does not
    stop it.
    """

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._tokens: dict[str, str] = {}

    def __len__(self) -> int:
        return len(self._tokens)

    def bring(self, key: str, token: str | None, known: Record | None) -> None:
        """A caller asks for the download `key` with `token`; `known` is its record, if there is one."""
        if token is not None and (known is None or known.state in _ENDED or key not in self._tokens):
            self._tokens[key] = token

    def drop(self, key: str) -> None:
        self._tokens.pop(key, None)

    def hub_for(self, record: Record) -> Hub:
        """The Hub, asked in the name of the caller of `record`, or of the daemon where no caller brought a token."""
        return self._hub.as_caller(lambda: self._token(record))

    def changed(self, record: Record, before: Status) -> None:
        if record.state in _FINISHED:
            self.drop(record.id)

    def forgotten(self, record: Record) -> None:
        self.drop(record.id)

    def _token(self, record: Record) -> str | None:
        """Its own, else that of a repo download that it is of."""
        if not self._tokens:
            return None
        keys = (record.id, *record.repo_ids) if isinstance(record, FileRecord) else (record.id,)
        return next((self._tokens[key] for key in keys if key in self._tokens), None)
