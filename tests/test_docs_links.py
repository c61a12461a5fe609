"""Links between the pages of the repository resolve, and every decision is in the index with its date."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DECISIONS = sorted((ROOT / "docs" / "decisions").glob("0*.md"))
PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), ROOT / "client" / "nextjs" / "README.md"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_relative_links_resolve(page: Path) -> None:
    text = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    links = re.findall(r"\]\(([^)\s#]+)(?:#[^)\s]*)?\)", text)
    broken = [link for link in links if "://" not in link and not (page.parent / link).exists()]
    assert not broken


def test_numbers_of_decisions_are_unique() -> None:
    numbers = [page.name[:4] for page in DECISIONS]
    assert numbers == [f"{number:04}" for number in range(1, len(numbers) + 1)]


@pytest.mark.parametrize("page", DECISIONS, ids=lambda page: page.stem)
def test_a_decision_has_a_date_and_a_status_and_is_in_the_index(page: Path) -> None:
    text = page.read_text()
    head = re.match(
        rf"# {page.name[:4]}: .+\n\n- Date: (\d{{4}}-\d\d-\d\d).*\n- Status: (Accepted|Superseded|Withdrawn)", text
    )
    assert head is not None
    for section in ("Context", "Decision", "Consequences"):
        assert f"\n## {section}\n" in text
    index = (page.parent / "README.md").read_text()
    assert f"| [{page.name[:4]}]({page.name}) | {head[1]} | {head[2]}" in index
