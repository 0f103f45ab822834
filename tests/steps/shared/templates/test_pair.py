"""The texts of a row: the prompt as inference sees it, the answer after it, and a reason for whatever is left out."""

from __future__ import annotations

from datetime import datetime

import pytest

from steps.shared.templates.chat_template import ChatTemplate
from steps.shared.templates.pair import PairText, prompt_ids, render_pair
from steps.shared.templates.refused import RowRefused
from steps.shared.templates.token_ids import pair_ids
from tests.steps.shared.templates.kinds import (
    ASK,
    FIND,
    FOUND,
    REFUSE,
    SYSTEM,
    THOUGHT,
    TOOLS,
    call,
    result,
    said,
    user,
)
from tests.steps.shared.templates.tokenizers import byte_level

TURN = "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
PLAIN = TURN + "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
OPENS = TURN + "{% if add_generation_prompt %}<|im_start|>assistant\n<think>\n{% endif %}"
EMPTY_BLOCK = TURN + "{% if add_generation_prompt %}<|im_start|>assistant\n<think>\n\n</think>\n\n{% endif %}"
CLOSES = OPENS.replace("{{ m.content }}", "{% if m.role == 'assistant' %}</think>{% endif %}{{ m.content }}")
REASONS = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{% if m.reasoning_content is defined %}<think>\n"
    "{{ m.reasoning_content }}\n</think>\n\n{% endif %}{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% if enable_thinking is false %}<think>\n\n</think>\n\n"
    "{% endif %}{% endif %}"
)
WITH_TOOLS = (
    "{% if tools %}<|im_start|>tools\n{{ tools | tojson }}<|im_end|>\n{% endif %}"
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}"
    "{% for c in m.tool_calls or [] %}<call>{{ c.function.name }} {{ c.function.arguments | tojson }}</call>"
    "{% endfor %}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def render(source: str, prompt=(ASK,), chosen=None, rejected=(REFUSE,), tools=None, **kwargs: object) -> PairText:
    chosen = chosen or [said("The Fram.")]
    return render_pair(ChatTemplate(byte_level(source), kwargs), list(prompt), chosen, list(rejected), tools)


def refused(source: str, **row: object) -> RowRefused:
    with pytest.raises(RowRefused) as caught:
        render(source, **row)
    return caught.value


def test_the_loss_ends_with_the_stop_token_and_the_line_break_behind_it_is_only_read() -> None:
    assert render(PLAIN).chosen.pieces == (("The Fram.<|im_end|>", True), ("\n", False))


def test_an_answer_without_a_stop_token_trains_and_is_noted() -> None:
    made = render(PLAIN.replace("<|im_end|>", "|"))
    assert made.chosen.pieces == (("The Fram.|\n", True),)
    assert made.notes == ("no_stop_token",)


def test_a_stop_token_that_the_model_names_ends_the_loss_where_the_tokenizers_own_is_another() -> None:
    tokenizer = byte_level(PLAIN.replace("<|im_end|>", "<|stop|>"))
    template = ChatTemplate(tokenizer, ends=[tokenizer.convert_tokens_to_ids("<|stop|>")])
    assert "<|stop|>" in template.ends
    made = render_pair(template, [ASK], [said("The Fram.")], [REFUSE], None)
    assert made.chosen.pieces == (("The Fram.<|stop|>", True), ("\n", False))


def test_a_stop_token_that_an_answer_quotes_does_not_end_the_loss() -> None:
    made = render(PLAIN, chosen=[said("It is <|im_end|> here.")])
    assert made.chosen.learned == "It is <|im_end|> here.<|im_end|>"


def test_an_empty_block_that_the_template_drops_from_an_answer_stays_in_the_prompt() -> None:
    made = render(EMPTY_BLOCK)
    assert made.prompt.endswith("assistant\n<think>\n\n</think>\n\n")
    assert made.chosen.learned == "The Fram.<|im_end|>"


def test_an_open_block_goes_on_with_its_end() -> None:
    made = render(CLOSES)
    assert made.prompt.endswith("<think>\n")
    assert made.chosen.learned == "</think>The Fram.<|im_end|>"


def test_an_open_block_needs_reasoning_and_says_so() -> None:
    error = refused(OPENS)
    assert (error.reason, str(error)) == (
        "template_opens_reasoning",
        "the prompt opens a reasoning block that this answer does not have: give reasoning_content, or set "
        "chat_template_kwargs",
    )
    reasoned = [said("The Fram.", reasoning_content=THOUGHT)]
    made = render(OPENS, chosen=reasoned, rejected=[said("No.", reasoning_content="I guess.")])
    assert made.chosen.learned == f"{THOUGHT}\n</think>\n\nThe Fram.<|im_end|>"


def test_reasoning_after_an_empty_block_is_dropped_and_noted() -> None:
    reasoned = [said("The Fram.", reasoning_content=THOUGHT)]
    assert render(REASONS, chosen=reasoned).chosen.learned == f"<think>\n{THOUGHT}\n</think>\n\nThe Fram.<|im_end|>"
    made = render(REASONS, chosen=reasoned, enable_thinking=False)
    assert made.chosen.learned == "The Fram.<|im_end|>" and made.notes == ("reasoning_dropped",)
    other = [said("The Fram.", reasoning_content="I guess.")]
    assert refused(REASONS, chosen=reasoned, rejected=other, enable_thinking=False).reason == "same_render"


def test_a_prompt_that_is_written_otherwise_once_it_is_answered_is_trained_on_as_inference_sees_it() -> None:
    source = "{{ messages | length }}:" + PLAIN
    made = render(source, prompt=[SYSTEM, ASK])
    assert made.prompt.startswith("2:<|im_start|>system") and made.prompt.endswith("<|im_start|>assistant\n")
    assert made.chosen.text == "The Fram.<|im_end|>\n"


def test_an_answer_that_does_not_follow_its_prompt_is_refused() -> None:
    backwards = "{% for m in messages | reverse %}{{ m.content }}<|im_end|>{% endfor %}"
    assert refused(backwards).reason == "template_mismatch"


def test_a_result_inside_an_answer_is_read_and_the_turns_around_it_are_learned() -> None:
    made = render(WITH_TOOLS, chosen=[said("", FIND), FOUND, said("It is the Fram.")], tools=TOOLS)
    assert made.chosen.pieces == (
        ('<call>find_ship {"port": "Oslo", "day": "Monday"}</call><|im_end|>', True),
        ("\n<|im_start|>tool\nthe Fram, berth 7<|im_end|>\n<|im_start|>assistant\n", False),
        ("It is the Fram.<|im_end|>", True),
        ("\n", False),
    )


@pytest.mark.parametrize(
    ("without", "row", "reason"),
    [
        ("{{ tools | tojson }}", {"tools": TOOLS}, "template_drops_tools"),
        ("{{ c.function.name }}", {"chosen": [said("", FIND)], "tools": TOOLS}, "template_drops_call"),
        ("{{ c.function.arguments | tojson }}", {"chosen": [said("", FIND)], "tools": TOOLS}, "template_drops_call"),
        ("{{ m.content }}", {}, "template_drops_content"),
    ],
)
def test_a_part_that_the_template_never_writes_is_named(without: str, row: dict, reason: str) -> None:
    assert without in WITH_TOOLS
    assert refused(WITH_TOOLS.replace(without, "x"), **row).reason == reason


def test_the_second_of_two_calls_content_beside_a_call_results_and_system_turns_are_missed() -> None:
    one = WITH_TOOLS.replace("m.tool_calls or []", "(m.tool_calls or [])[:1]")
    two = [said("", FIND, call("find_ship", port="Oslo", day="Monday"))]  # each text of it stands there already
    assert refused(one, chosen=two, tools=TOOLS).reason == "template_drops_call"
    beside = WITH_TOOLS.replace("{{ m.content }}", "{% if not m.tool_calls %}{{ m.content }}{% endif %}")
    named = [said("find_ship", FIND)]  # it stands there as the call's name
    assert refused(beside, chosen=named, tools=TOOLS).reason == "template_drops_content"
    silent = WITH_TOOLS.replace("{{ m.content }}", "{% if m.role != 'tool' %}{{ m.content }}{% endif %}")
    asked = [ASK, said("", FIND), result("The Fram.")]
    assert refused(silent, prompt=asked, tools=TOOLS).reason == "template_drops_result"
    lawless = PLAIN.replace("{{ m.content }}", "{% if m.role != 'system' %}{{ m.content }}{% endif %}")
    assert refused(lawless, prompt=[SYSTEM, ASK]).reason == "template_drops_system"


def test_two_answers_that_are_written_alike_are_refused() -> None:
    trims = PLAIN.replace("{{ m.content }}", "{{ m.content | trim }}")
    assert refused(trims, chosen=[said("No.")], rejected=[said("No.  ")]).reason == "same_render"


def test_arguments_are_given_as_text_where_the_template_wants_text() -> None:
    concatenates = WITH_TOOLS.replace("{{ c.function.arguments | tojson }}", "{{ 'of ' + c.function.arguments }}")
    made = render(concatenates, chosen=[said("", FIND)], tools=TOOLS)
    assert '<call>find_ship of {"port": "Oslo", "day": "Monday"}</call>' in made.chosen.learned


def test_calls_get_ids_of_nine_letters_where_the_template_wants_them_the_same_each_time() -> None:
    wants = WITH_TOOLS.replace(
        "<call>", "{% if c.id | length != 9 %}{{ raise_exception('ids have 9 letters') }}{% endif %}<call>{{ c.id }} "
    ).replace("\n{{ m.content }}", "\n{{ m.tool_call_id }}{{ m.content }}")
    for own in ({}, {"id": "call_8w7e6r"}):
        answer = [said("", FIND | own), FOUND, said("It is the Fram.")]
        made = render(wants, chosen=answer, tools=TOOLS)
        assert "<call>call00001 find_ship" in made.chosen.learned
        assert "<|im_start|>tool\ncall00001the Fram" in made.chosen.read
    kept = render(wants, chosen=[said("", FIND | {"id": "123456789"})], tools=TOOLS)
    assert "<call>123456789 find_ship" in kept.chosen.learned


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("{{ raise_exception('roles must\\nalternate') }}", "roles must"),
        ("{{ raise_exception('\x1b[2Jgone') }}", "[U+001B][2Jgone"),
        ("{{ 'a' + 1 }}", 'can only concatenate str (not "int") to str'),
        ("{{ messages[9].content }}", "list object has no element 9"),
        ("{{ 1 // 0 }}", "integer division or modulo by zero"),
        ("{% if %}", "Expected an expression, got 'end of statement block'"),
    ],
)
def test_whatever_a_template_raises_is_quoted_on_one_visible_line(source: str, words: str) -> None:
    error = refused(source)
    assert (error.reason, error.detail) == ("template_refused", words)


def test_several_templates_without_a_default_are_one_reason() -> None:
    tokenizer = byte_level(PLAIN)
    tokenizer.chat_template = {"one": PLAIN, "other": PLAIN}
    with pytest.raises(RowRefused, match="default") as caught:
        prompt_ids(ChatTemplate(tokenizer), [ASK], None)
    assert caught.value.reason == "template_refused"


def test_a_template_that_takes_too_long_is_stopped() -> None:
    slow = "{% for i in range(3000) %}{% for j in range(3000) %}{% endfor %}{% endfor %}"
    with pytest.raises(RowRefused) as caught:
        prompt_ids(ChatTemplate(byte_level(slow), seconds=0.05), [ASK], None)
    assert str(caught.value) == (
        "it did not end within 0.05 s of processor time; look for a loop in chat_template.jinja"
    )


def test_the_time_that_a_template_asks_for_is_the_runs_moment_and_is_given_back() -> None:
    from transformers.utils import chat_template_utils

    dated = "Today is {{ strftime_now('%d %B %Y %H:%M') }}.\n" + PLAIN
    template = ChatTemplate(byte_level(dated), moment=datetime(2026, 1, 2, 3, 4))
    assert template.asks_for_time
    assert template.text([ASK], None).startswith("Today is 02 January 2026 03:04.\n")
    assert chat_template_utils.datetime is datetime


PARTS = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{% for part in m.content %}{% if part.type == 'text' %}"
    "{{ part.text }}{% endif %}{% endfor %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def test_content_is_given_in_parts_where_the_template_writes_nothing_else() -> None:
    made = render(PARTS, prompt=[SYSTEM, ASK])
    assert made == render(PLAIN, prompt=[SYSTEM, ASK])
    first = PARTS.replace(
        "{% for part in m.content %}{% if part.type == 'text' %}{{ part.text }}{% endif %}{% endfor %}",
        "{{ m.content[0].text }}",
    )
    assert render(first, prompt=[SYSTEM, ASK]) == made


def test_a_list_that_a_template_writes_as_it_is_counts_for_nothing_said() -> None:
    mixed = PARTS.replace("{% for part", "{% if m.role == 'assistant' %}{{ m.content }}{% else %}{% for part")
    mixed = mixed.replace("{% endif %}{% endfor %}", "{% endif %}{% endfor %}{% endif %}")
    with pytest.raises(RowRefused):
        render(mixed)


def test_a_template_that_takes_both_forms_gets_texts() -> None:
    both = PLAIN.replace(
        "{{ m.content }}", "{% if m.content is string %}text: {{ m.content }}{% else %}parts{% endif %}"
    )
    assert render(both).chosen.learned == "text: The Fram.<|im_end|>"


def test_a_recipes_settings_reach_the_template() -> None:
    made = render(PLAIN.replace("assistant\n", "assistant {{ mood }}\n"), mood="kind")
    assert made.prompt.endswith("<|im_start|>assistant kind\n")


def test_where_a_token_reaches_over_the_border_the_answer_is_tokenised_apart() -> None:
    tokenizer = byte_level(PLAIN)
    template = ChatTemplate(tokenizer)
    made = render_pair(template, [ASK], [said("\nThe Fram.")], [REFUSE], None)
    ids = pair_ids(template, made)
    assert ids.prompt == tokenizer(made.prompt, add_special_tokens=False)["input_ids"]
    assert tokenizer.decode(ids.chosen) == "\nThe Fram.<|im_end|>\n"
    whole = tokenizer(made.prompt + made.chosen.text, add_special_tokens=False)["input_ids"]
    assert whole != ids.prompt + ids.chosen  # there the two line breaks are one token
    assert ids.chosen_mask == [1] * (len(ids.chosen) - 1) + [0]


def test_turns_of_a_conversation_that_is_not_answered_are_what_inference_gives() -> None:
    tokenizer = byte_level(PLAIN)
    ids = prompt_ids(ChatTemplate(tokenizer), [SYSTEM, user("Hi")], None)
    assert tokenizer.decode(ids) == (
        "<|im_start|>system\nAnswer as a harbour master.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n"
        "<|im_start|>assistant\n"
    )


@pytest.mark.parametrize(
    "written", ["{{ 'x' * 3000000000 }}", "{% for i in range(9999) %}{{ 'x' * 99999 }}{% endfor %}"]
)
def test_a_template_that_wants_too_much_memory_is_stopped_and_the_next_is_not(written: str) -> None:
    with pytest.raises(RowRefused, match="it wants more than 64 MiB of memory; look for a loop or a repeated text"):
        prompt_ids(ChatTemplate(byte_level(written), memory=2**26), [ASK], None)
    assert prompt_ids(ChatTemplate(byte_level("{{ 'x' * 100000 }}"), memory=2**26), [ASK], None)


def test_one_text_alone_is_limited_too() -> None:
    slow = "{% for i in range(3000) %}{% for j in range(3000) %}{% endfor %}{% endfor %}"
    with pytest.raises(RowRefused, match="it did not end within"):
        ChatTemplate(byte_level(slow), seconds=0.05).text([ASK], None)
