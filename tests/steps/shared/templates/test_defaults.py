"""A template with a recipe's settings as its defaults makes the same texts as with the settings given."""

from __future__ import annotations

from typing import Any

import pytest

from steps.shared.templates.chat_template import ChatTemplate
from steps.shared.templates.defaults import with_defaults
from tests.steps.shared.templates.exam import trl_sources
from tests.steps.shared.templates.kinds import ASK, SYSTEM, TOOLS
from tests.steps.shared.templates.tokenizers import byte_level

SHOWS = (
    "{% macro inside() %}{{ one }}{% endmacro %}  {{ one }}|{% if one %}yes{% endif %}|"
    "{% for m in messages %}{{ one }}{{ m.content }}{{ inside() }}{% endfor %}"
)


HOSTILE = "a \"b\" 'c' \\ {{ x }} %} {% \n\t é 🚢 \x1b"


@pytest.mark.parametrize("value", [True, False, None, 0, -3, 1e-05, -2.5, "", "low", HOSTILE, ["a", {"b": None}]])
def test_any_value_of_a_recipe_is_written_as_it_is(value: Any) -> None:
    given = ChatTemplate(byte_level(SHOWS), {"one": value}).text([ASK], None)
    assert ChatTemplate(byte_level(with_defaults(SHOWS, {"one": value}))).text([ASK], None) == given


def test_who_passes_the_setting_wins() -> None:
    template = with_defaults(SHOWS, {"one": "mine"})
    assert ChatTemplate(byte_level(template), {"one": "yours"}).text([ASK], None).startswith("  yours|yes|yours")


@pytest.mark.parametrize("name", ["qwen3", "qwen3_6", "nemotron_3_nano", "glm4moe", "gptoss", "gemma4"])
@pytest.mark.parametrize("kwargs", [{"enable_thinking": False}, {"enable_thinking": True, "reasoning_effort": "low"}])
def test_templates_that_people_use_render_the_same(name: str, kwargs: dict[str, Any]) -> None:
    source = trl_sources()[name]
    for messages, tools in (([ASK], None), ([SYSTEM, ASK], TOOLS)):
        given = ChatTemplate(byte_level(source), kwargs).text(messages, tools, generation=True)
        written = ChatTemplate(byte_level(with_defaults(source, kwargs)))
        assert written.text(messages, tools, generation=True) == given


def test_the_defaults_do_change_what_qwen3_is_asked() -> None:
    for kwargs, closed in (({}, False), ({"enable_thinking": False}, True)):
        template = ChatTemplate(byte_level(with_defaults(trl_sources()["qwen3"], kwargs)))
        assert template.text([ASK], None, generation=True).endswith("</think>\n\n") is closed
