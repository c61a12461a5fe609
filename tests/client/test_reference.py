from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hfdmd.wire import validate
from hfdmd.wire.errors import InvalidField
from hfdmd_client.reference import Reference, parse

NAME = "https://huggingface.co/owner/name"
SHA = "0123456789abcdef0123456789abcdef01234567"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("gpt2", Reference("gpt2")),
        ("owner/name", Reference("owner/name")),
        ("owner/name@v1.0", Reference("owner/name", None, "v1.0")),
        ("datasets/squad", Reference("squad", "dataset")),
        ("spaces/owner/name", Reference("owner/name", "space")),
        (f"{NAME}", Reference("owner/name")),
        (f"{NAME}/", Reference("owner/name")),
        ("huggingface.co/owner/name", Reference("owner/name")),
        ("https://hf.co/datasets/owner/name", Reference("owner/name", "dataset")),
        (f"{NAME}/blob/main/a/b.json", Reference("owner/name", None, "main", "a/b.json")),
        (f"{NAME}/resolve/{SHA}/m.gguf?download=true", Reference("owner/name", None, SHA, "m.gguf")),
        ("https://huggingface.co/gpt2/raw/main/config.json", Reference("gpt2", None, "main", "config.json")),
        (f"{NAME}/blob/refs%2Fpr%2F1/a%20b.json", Reference("owner/name", None, "refs/pr/1", "a b.json")),
        (f"{NAME}/blob/refs/pr/1/a.json", Reference("owner/name", None, "refs/pr/1", "a.json")),
        (f"{NAME}/tree/main", Reference("owner/name", None, "main")),
        (f"{NAME}/tree/main/onnx", Reference("owner/name", None, "main", None, "onnx")),
        (f"{NAME}/discussions/3", Reference("owner/name")),
        ("https://huggingface.co/spaces/o/n/blob/main/app.py#L3", Reference("o/n", "space", "main", "app.py")),
        ("hf://owner/name/a/b.json", Reference("owner/name", None, None, "a/b.json")),
        ("hf://datasets/owner/name@dev/a.parquet", Reference("owner/name", "dataset", "dev", "a.parquet")),
        ("hf://owner/name@refs/pr/7/a.json", Reference("owner/name", None, "refs/pr/7", "a.json")),
        ("hf://owner/name", Reference("owner/name")),
        ("owner/name:Q4_K_M", Reference("owner/name", quantisation="Q4_K_M")),
        ("hf.co/owner/name:Q4_K_M", Reference("owner/name", quantisation="Q4_K_M")),
        ("hf://owner/name:UD-IQ2_XXS", Reference("owner/name", quantisation="UD-IQ2_XXS")),
        (f"{NAME}:latest", Reference("owner/name", quantisation="latest")),
        ("owner/name:Q8_0@dev", Reference("owner/name", None, "dev", quantisation="Q8_0")),
        ("owner/name@dev:Q8_0", Reference("owner/name", None, "dev", quantisation="Q8_0")),
        ("gpt2:F16", Reference("gpt2", quantisation="F16")),
    ],
)  # fmt: skip
def test_what_people_paste(text: str, found: Reference) -> None:
    assert parse(text, {}) == found
    assert parse(f"  {text}\n", {}) == found


def test_the_hub_of_the_environment() -> None:
    env = {"HF_ENDPOINT": "http://mirror.local:8080/hf"}
    assert parse("http://mirror.local:8080/hf/o/n/blob/main/a.bin", env) == Reference("o/n", None, "main", "a.bin")


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("https://example.org/owner/name", "not a URL of huggingface.co"),
        (f"{NAME}/nonsense/x", "not of a repo or a file"),
        ("owner/name/config.json", "hfdm download owner/name config.json"),
        ("", "owner/name"),
        ("../../etc", "not a repo"),
        ("https://huggingface.co/o/n/blob/main/%2e%2e/%2e%2e/etc/passwd", "has the component '..'"),
        ("https://huggingface.co/o/n/blob/main/a%00b", "control character"),
        ("hf://o/n@a b/c", "revision"),
    ],
)
def test_what_is_refused(text: str, word: str) -> None:
    with pytest.raises(InvalidField) as caught:
        parse(text, {})
    assert word in caught.value.detail


@given(st.text(max_size=60))
def test_whatever_is_pasted_is_legal_or_refused(text: str) -> None:
    for candidate in (text, f"https://huggingface.co/{text}", f"hf://{text}"):
        try:
            found = parse(candidate, {})
        except InvalidField:
            continue
        validate.repo_id(found.model_repo)
        assert found.file_path is None or validate.path_problem(found.file_path) is None
