"""The full-screen view of `hfdm watch`: a tree of repos and files, with keys and mouse. Loaded by that verb alone."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, ClassVar

from rich.style import Style
from rich.text import Text
from textual import on, work
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import Footer, Input, Static, Tree
from textual.widgets.tree import TreeNode

from hfdmd.wire.errors import ApiError
from hfdmd.wire.types import Affected, Download, Info, Removed, RepoDownload, Settings, SettingsPatch, Status
from hfdmd.wire.units import UnitError, format_duration, format_rate, format_size, parse_rate
from hfdmd_client import logfile
from hfdmd_client.async_client import AsyncClient
from hfdmd_client.cli import render
from hfdmd_client.cli.bars import in_order
from hfdmd_client.cli.rows import distinct, facts_width, row
from hfdmd_client.cli.session import DONE, INTERRUPTED, outcome
from hfdmd_client.cli.watch_dialogs import Details, Question, log_lines
from hfdmd_client.event_state import FINAL, Item, items_of

_REDRAW_S = 0.2
_ASK_EVERY_S = 3.0
_GUIDES = 2


class DownloadTree(Tree[str], inherit_bindings=False):
    """One node for each repo and each file; `data` is its id. A node is drawn anew from the newest state."""

    BINDINGS: ClassVar[list[BindingType]] = [  # those of Tree, but for space, which pauses here
        Binding("up,k", "cursor_up", show=False),
        Binding("down,j", "cursor_down", show=False),
        Binding("pageup", "page_up", show=False),
        Binding("pagedown", "page_down", show=False),
        Binding("home", "scroll_home", show=False),
        Binding("end", "scroll_end", show=False),
        Binding("enter", "select_cursor", "open"),
    ]
    show_root = False
    guide_depth = _GUIDES

    def __init__(self) -> None:
        super().__init__("", id="tree")
        self.items: dict[str, Item] = {}
        self.names: dict[str, str] = {}

    def render_label(self, node: TreeNode[str], base_style: Style, style: Style) -> Text:
        item = self.items.get(node.data or "")
        if item is None:
            return Text("")
        prefix = ("▼ " if node.is_expanded else "▶ ") if node.allow_expand else ""
        indent = _GUIDES * (1 + (node.parent is not None and not node.parent.is_root))
        width = max(40, self.size.width - indent)
        name_width = width - facts_width(width) - len(prefix)
        name = render.squeeze(self.names.get(item.id, ""), name_width)
        text = Text(prefix) + row(item, name, name_width, width)
        text.stylize(style)
        return text

    def name_width(self, *, is_part: bool) -> int:
        """Columns for the name of a file of a repo, or of something else."""
        width = max(40, self.size.width - _GUIDES * (2 if is_part else 1))
        return width - facts_width(width)


class WatchApp(App[int]):
    """Shows the downloads that `watched` selects until they have ended or the person leaves; returns the exit code."""

    TITLE = "hfdm watch"
    ENABLE_COMMAND_PALETTE = False
    CSS = """
    #head { height: 1; text-style: bold; }
    #why { height: auto; max-height: 3; }
    Input { display: none; }
    Input.asked { display: block; }
    .dialog { width: auto; max-width: 90%; max-height: 90%; height: auto; border: round $accent; padding: 0 1; }
    ModalScreen { align: center middle; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("space,p", "pause_or_resume", "pause"),
        Binding("c", "cancel", "cancel"),
        Binding("r", "retry", "retry"),
        Binding("plus,equals_sign", "move(-1)", "up", key_display="+"),
        Binding("minus", "move(1)", "down", key_display="-"),
        Binding("P", "pause_all", "pause all"),
        Binding("R", "resume_all", "resume all"),
        Binding("slash", "filter", "filter", key_display="/"),
        Binding("l", "limit", "limit"),
        Binding("d", "details", "details"),
        Binding("question_mark", "help", "help", key_display="?"),
        Binding("q", "leave", "leave"),
        Binding("ctrl+c", "interrupt", show=False, priority=True),
    ]

    def __init__(self, client: AsyncClient, watched: dict[str, Any]) -> None:
        super().__init__()
        self._client = client
        self._watched = watched
        self._tree = DownloadTree()
        self._rows: dict[str, TreeNode[str]] = {}
        self._info: Info | None = None
        self._settings: Settings | None = None
        self._wanted = ""
        self._asks: Callable[[str], Awaitable[None]] | None = None
        self._is_stale = False

    def compose(self) -> ComposeResult:
        yield Static(id="head", markup=False)
        yield self._tree
        yield Static(id="why", markup=False)
        yield Input(id="ask")
        yield Footer()

    def on_mount(self) -> None:
        for number in (signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) is not signal.SIG_IGN:
                asyncio.get_running_loop().add_signal_handler(number, self.exit, 128 + number)
        self._tree.focus()
        self.set_interval(_REDRAW_S, self._redraw)
        self.set_interval(_ASK_EVERY_S, self._ask_daemon)
        self._ask_daemon()
        self._follow_events()

    # Events

    @work
    async def _follow_events(self) -> None:
        try:
            async for event in self._client.watch(**self._watched):
                if isinstance(event, (Download, RepoDownload)):
                    self._tree.items[event.id] = event
                elif isinstance(event, Removed):
                    self._tree.items.pop(event.id, None)
                self._is_stale = True
        except ApiError as error:
            self.exit(message=render.clean(error.detail), result=1, return_code=1)
            return
        self.exit(outcome(list(self._tree.items.values())))

    @work(exclusive=True, group="info")
    async def _ask_daemon(self) -> None:
        """Free space and the limit: no event reports them."""
        try:
            self._info, self._settings = await self._client.info(), await self._client.settings()
        except ApiError:
            self._info = None  # the first line says so; `watch` reconnects
        self._is_stale = True

    def on_resize(self) -> None:
        self._is_stale = True

    # Drawing

    def _redraw(self) -> None:
        if not self._is_stale:
            return
        self._is_stale = False
        tree = self._tree
        groups = self._by_parent()
        shown = {item.id for group in groups.values() for item in group}
        for key in [key for key in self._rows if key not in shown]:
            self._drop(key)
        for parent_id, group in groups.items():
            parent = tree.root if parent_id is None else self._rows[parent_id]
            for item in group:
                node = self._rows.get(item.id)
                if node is not None and node.parent is not parent:
                    self._drop(item.id)
                    node = None
                if node is None:
                    self._rows[item.id] = parent.add(item.id, item.id, allow_expand=isinstance(item, RepoDownload))
            names = [self._title_of(item, parent_id is not None) for item in group]
            cut = distinct(names, tree.name_width(is_part=parent_id is not None))
            tree.names.update(zip((item.id for item in group), cut, strict=True))
        for node in self._rows.values():
            node.refresh()
        if tree.cursor_node is None and self._rows:
            tree.move_cursor(next(iter(self._rows.values())))
        self.query_one("#head", Static).update(self._head())
        self._show_why()

    def _by_parent(self) -> dict[str | None, list[Item]]:
        """What is shown, in order, by the repo download that it is under; the top of the tree, None, comes first."""
        items, wanted = [*self._tree.items.values()], self._wanted.lower()
        files = [item for item in items if isinstance(item, Download)]
        holders = {repo_id for file in files if wanted in file.file_path.lower() for repo_id in file.repo_ids}
        shown = [item for item in in_order(items) if wanted in render.title(item).lower() or item.id in holders]
        repos = {item.id for item in shown if isinstance(item, RepoDownload)}
        groups: dict[str | None, list[Item]] = {None: []}
        for item in shown:
            of_file = item.repo_ids if isinstance(item, Download) else []
            groups.setdefault(next((repo_id for repo_id in of_file if repo_id in repos), None), []).append(item)
        return groups

    def _drop(self, key: str) -> None:
        """Remove a row, and those under it."""
        node = self._rows.pop(key, None)
        if node is None:  # it went with its repo
            return
        for child in list(node.children):
            self._rows.pop(child.data or "", None)
        node.remove()

    def _title_of(self, item: Item, is_part: bool) -> str:
        return render.file_name(item) if isinstance(item, Download) and is_part else render.title(item)

    def _head(self) -> str:
        if self._info is None:
            return "The daemon does not answer; reconnecting …"
        items = self._tree.items.values()
        files = [item for item in items if isinstance(item, Download)]
        counted = [item for item in items if isinstance(item, Download) or not item.files_total]  # or not listed yet
        counts = {status: sum(item.status is status for item in counted) for status in Status}
        per_s = sum(item.bytes_per_second or 0 for item in files if render.speed(item))
        unfinished = [item for item in files if item.status in (Status.DOWNLOADING, Status.QUEUED)]
        left_bytes = sum((item.total_bytes or 0) - item.downloaded_bytes for item in unfinished)
        facts = [f"{counts[Status.DOWNLOADING]} downloading", f"{counts[Status.QUEUED]} queued"]
        facts += [f"{counts[status]} {status.value}" for status in (Status.PAUSED, Status.FAILED) if counts[status]]
        facts.append(format_rate(per_s))
        if left_bytes > 0:
            is_known = per_s and all(item.total_bytes is not None for item in unfinished)
            eta = f", {format_duration(left_bytes / per_s)}" if is_known else ""
            facts.append(f"{format_size(left_bytes)} left{eta}")
        if self._settings is not None and self._settings.bandwidth_limit:
            facts.append(f"limit {format_rate(self._settings.bandwidth_limit)}")
        if self._info.free_bytes is not None:
            facts.append(f"{format_size(self._info.free_bytes)} free")
        if self._wanted:
            facts.append(f"filter: {self._wanted}")
        text = facts[0]
        for fact in facts[1:]:  # facts that do not fit are left out completely
            if len(text) + 3 + len(fact) <= self.size.width:
                text += f" · {fact}"
        return text

    def _show_why(self) -> None:
        item = self._selected()
        detail = item.detail if item is not None and item.status is not Status.DONE else None
        if not self._tree.items:
            detail = "Nothing to do. In another terminal: hfdm download owner/name"
        self.query_one("#why", Static).update(render.clean(detail or ""))

    @on(Tree.NodeHighlighted)
    def _highlighted(self) -> None:
        self._show_why()

    # Keys

    def _selected(self) -> Item | None:
        node = self._tree.cursor_node
        return None if node is None else self._tree.items.get(node.data or "")

    def action_leave(self) -> None:
        self.exit(DONE)

    def action_interrupt(self) -> None:
        self.exit(INTERRUPTED)

    def action_help(self) -> None:
        if self.screen.query("HelpPanel"):
            self.action_hide_help_panel()
        else:
            self.action_show_help_panel()

    def action_pause_or_resume(self) -> None:
        item = self._selected()
        if item is None:
            return
        if item.status is Status.PAUSED:
            self._act(self._client.resume(id=item.id), "resumed")
        else:
            self._act(self._client.pause(id=item.id), "paused")

    def action_pause_all(self) -> None:
        self._act(self._client.pause(all=True), "paused")

    def action_resume_all(self) -> None:
        self._act(self._client.resume(all=True), "resumed")

    def action_retry(self) -> None:
        item = self._selected()
        if item is not None:
            self._act(self._client.retry(id=item.id), "retried")

    @work
    async def action_cancel(self) -> None:
        item = self._selected()
        if item is None or item.status in FINAL:
            return
        question = f"Cancel {render.title(item)} and delete its partial data?"
        if await self.push_screen_wait(Question(question)):
            self._act(self._client.cancel(id=item.id), "cancelled")

    def action_move(self, step: int) -> None:
        item = self._selected()
        if item is None or item.queue_position is None:
            self.notify("Only what is queued can be moved.", severity="warning")
            return
        self._act(self._client.reorder(id=item.id, position=max(1, item.queue_position + step)), "moved")

    @work(exclusive=True, group="act")
    async def _act(self, call: Awaitable[Affected], done: str) -> None:
        try:
            affected = await call
        except ApiError as error:
            self.notify(render.clean(error.detail), severity="error", markup=False)
            return
        changed = items_of(affected)
        self._tree.items.update((item.id, item) for item in changed if item.id in self._tree.items)
        self._is_stale = True
        self.notify(f"{done}: {len(changed)}", markup=False)

    def action_filter(self) -> None:
        self._ask("Show only names that contain …", self._wanted, self._set_filter)

    def action_limit(self) -> None:
        limit = self._settings.bandwidth_limit if self._settings is not None else 0
        self._ask("Bandwidth limit, such as 20MB/s or none", format_rate(limit) if limit else "", self._set_limit)

    def _ask(self, hint: str, value: str, answer: Callable[[str], Awaitable[None]]) -> None:
        asked = self.query_one(Input)
        asked.placeholder, asked.value = hint, value
        asked.add_class("asked")
        asked.focus()
        self._asks = answer

    @on(Input.Submitted)
    async def _answered(self, event: Input.Submitted) -> None:
        if self._asks is not None:
            await self._asks(event.value.strip())
        self._close_input()

    def key_escape(self) -> None:
        self._close_input()

    def _close_input(self) -> None:
        self.query_one(Input).remove_class("asked")
        self._asks = None
        self._tree.focus()

    async def _set_filter(self, text: str) -> None:
        self._wanted = text
        self._is_stale = True

    async def _set_limit(self, text: str) -> None:
        try:
            self._settings = await self._client.change_settings(
                SettingsPatch(bandwidth_limit=parse_rate(text or "none"))
            )
        except (UnitError, ApiError) as error:
            self.notify(str(error), severity="error", markup=False)
        self._is_stale = True

    @work
    async def action_details(self) -> None:
        item = self._selected()
        if item is None:
            return
        lines = [render.title(item), *(f"{name}  {render.clean(value)}" for name, value in render.facts(item))]
        if self._info is not None:
            log = Path(self._info.state_dir) / logfile.NAME
            lines += ["", f"log  {log}", *log_lines(log, (item.id, item.model_repo))]
        await self.push_screen_wait(Details("\n".join(lines)))
