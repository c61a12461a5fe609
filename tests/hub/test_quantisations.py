from __future__ import annotations

import pytest

from hfdmd.hub.quantisations import quantisations


def grouped(*paths: str) -> dict[str, list[str]]:
    return {one.name: one.files for one in quantisations((path, 10) for path in paths)}


def recommended(*names: str) -> str:
    [best] = [one.name for one in quantisations((f"m-{name}.gguf", 10) for name in names) if one.recommended]
    return best


def test_grouped_and_summed() -> None:
    found = quantisations(
        [
            ("README.md", 1),
            ("m-Q8_0.gguf", 80),
            ("m-Q4_K_M-00002-of-00002.gguf", 21),
            ("m-Q4_K_M-00001-of-00002.gguf", 20),
            ("UD-IQ2_XXS/m-UD-IQ2_XXS.gguf", 5),
            ("BF16/m-00001-of-00001.gguf", 160),
            ("imatrix.gguf", 4),
            ("odd.gguf", None),
        ]
    )
    assert [(one.name, one.total_bytes, len(one.files), one.recommended) for one in found] == [
        ("odd", None, 1, False),
        ("UD-IQ2_XXS", 5, 1, False),
        ("Q4_K_M", 41, 2, True),
        ("Q8_0", 80, 1, False),
        ("BF16", 160, 1, False),
    ]
    assert found[2].files == ["m-Q4_K_M-00001-of-00002.gguf", "m-Q4_K_M-00002-of-00002.gguf"]


@pytest.mark.parametrize(
    ("first", "second"),
    [("Q2_K", "Q2_K_L"), ("F16", "BF16"), ("Q4_K_M", "UD-Q4_K_M"), ("Q4_0", "IQ4_NL"), ("Q4_K_S", "Q4_K_M")],
)
def test_names_that_contain_one_another_are_different(first: str, second: str) -> None:
    assert grouped(f"m-{first}.gguf", f"m-{second}.gguf") == {
        first: [f"m-{first}.gguf"],
        second: [f"m-{second}.gguf"],
    }


@pytest.mark.parametrize("path", ["m-q4_k_m.gguf", "m.Q4_K_M.gguf", "Q4_K_M/model.gguf", "a/m-Q4_K_M.GGUF"])
def test_other_spellings(path: str) -> None:
    assert grouped(path) == {"Q4_K_M": [path]}


def test_two_models_of_one_quantisation_have_names_of_their_own() -> None:
    assert grouped("a-Q8_0.gguf", "b-Q8_0.gguf", "old/a-Q8_0.gguf") == {
        "Q8_0": ["a-Q8_0.gguf"],
        "b-Q8_0": ["b-Q8_0.gguf"],
        "old/a-Q8_0": ["old/a-Q8_0.gguf"],
    }


def test_the_projector_belongs_to_every_quantisation() -> None:
    [one, other] = quantisations(
        [("m-Q4_K_M.gguf", 50), ("m-Q8_0.gguf", 90), ("mmproj-BF16.gguf", 4), ("mmproj-F16.gguf", 3)]
    )
    assert (one.files, one.mmproj, one.total_bytes) == (["m-Q4_K_M.gguf", "mmproj-F16.gguf"], "mmproj-F16.gguf", 53)
    assert (other.name, other.total_bytes) == ("Q8_0", 93)


@pytest.mark.parametrize(
    ("names", "best"),
    [
        (("Q2_K", "Q4_K_M", "Q4_K_S", "Q8_0"), "Q4_K_M"),
        (("UD-IQ1_M", "UD-Q4_K_XL", "IQ4_XS", "Q8_0"), "UD-Q4_K_XL"),
        (("Q4_0", "Q4_K_S"), "Q4_K_S"),
        (("IQ4_XS", "Q5_K_M"), "IQ4_XS"),
        (("Q3_K_M", "Q5_K_M"), "Q5_K_M"),
        (("Q8_0", "F16"), "Q8_0"),
        (("BF16", "odd"), "BF16"),
        (("odd",), "m-odd"),
    ],
)
def test_one_is_recommended(names: tuple[str, ...], best: str) -> None:
    assert recommended(*names) == best


def test_a_repo_without_gguf_files_has_none() -> None:
    assert quantisations([("model.safetensors", 1)]) == []
