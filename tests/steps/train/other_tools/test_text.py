"""A translation in words."""

from __future__ import annotations

from pathlib import Path

from steps.train.other_tools import text
from tests.steps.train.other_tools.files import AXOLOTL_YAML, translated


def test_the_recipe_opens_with_its_source_and_ends_with_what_it_does_not_say(tmp_path: Path) -> None:
    lines = text.recipe(translated(tmp_path, AXOLOTL_YAML), Path("my files/dpo.yml")).splitlines()
    assert lines[0] == (
        "# From my files/dpo.yml, a file of axolotl: python pipeline.py recipe --from 'my files/dpo.yml'"
    )
    assert lines[1].startswith("# An optimizer step takes 2 x 4 pairs from each GPU")
    assert "max_length: 4096  # line 12: sequence_len" in lines
    assert "learning_rate: 0.0001  # line 27" in lines
    assert "fsdp_config: {transformer_layer_cls_to_wrap: [MistralDecoderLayer]}  # line 36" in lines
    tail = lines[lines.index(f"# {text.DIFFERS}:") :]
    assert len(tail) == 7 and all(line.startswith("#   line ") for line in tail[1:])


def test_the_report_names_what_matters_by_line_and_the_rest_by_reason(tmp_path: Path) -> None:
    lines = text.report(translated(tmp_path, AXOLOTL_YAML), Path("dpo.yml")).splitlines()
    assert lines[0] == "dpo.yml: a file of axolotl, 19 of 34 keys are in the recipe"
    assert lines[1] == f"{text.DIFFERS}:"
    assert "  line 40  special_tokens: the tokenizer stays as it is; change it in the model's folder" in lines
    assert any(line.startswith("  sample_packing, tf32: a matter of speed") for line in lines)


def test_nothing_of_a_file_leaves_its_comment(tmp_path: Path) -> None:
    words = '"a\\nbeta: 9 \\e[31m": 1\nmodel_name_or_path: "m # x\\n y"\ndataset_name: d\n'
    found = translated(tmp_path, words)
    recipe = text.recipe(found, Path("the\nfile"))
    assert "\nbeta: 9" not in recipe and "\x1b" not in recipe and "[U+000A]" in recipe
    assert "\x1b" not in text.report(found, Path("the\nfile"))
