"""A tokenizer's chat template with the settings of a run: messages -> text -> token ids."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

from steps.shared.contract import first_line
from steps.shared.pages import visible
from steps.shared.records import Messages, TemplateArguments, Tools, canonical
from steps.shared.templates.limits import MEMORY_BYTES, SECONDS, TooLong, is_limited, memory_limit, time_limit
from steps.shared.templates.refused import RowRefused

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

READS_IDS = re.compile(r"tool_call_id|\.id\b|\[['\"]id['\"]\]|get\(['\"]id['\"]")
AS_WRITTEN = re.compile(r"""\{['"]type['"]: ?['"]text['"]""")  # a list of parts that a template wrote as Python does
TRIED = [{"role": "user", "content": "Qz0001xQ"}, {"role": "assistant", "content": "Qz0002xQ"}]
KEPT = 64  # sets of rows' own arguments whose templates are remembered: most data have a few of them
NO_ROOM = "it wants more than {most:,} MiB of memory; look for a loop or a repeated text in chat_template.jinja"
NO_TIME = "it did not end within {seconds:g} s of processor time; look for a loop in chat_template.jinja"


class ChatTemplate:
    """Renders messages as the template writes them, with the same settings each time.

    Attributes:
        tokenizer: has the template.
        probed: what the checks found out about the shapes of rows seen so far (steps/shared/templates/probe.py).
    """

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        kwargs: Mapping[str, Any] | None = None,
        moment: datetime | None = None,
        ends: Iterable[int] = (),
        seconds: float = SECONDS,
        memory: int = MEMORY_BYTES,
    ):
        """
        Args:
            kwargs: what the template may ask for besides messages and tools (`chat_template_kwargs` of a recipe).
            moment: what the template is told when it asks for the time; None: the time at which it asks.
            ends: ids of tokens that end an answer besides the tokenizer's own (of the model's generation_config).
            seconds: processor time that the texts of one row may take.
            memory: bytes that one text may take, beside what the process has.
        """
        self.tokenizer = tokenizer
        self.probed: dict[Any, Any] = {}
        self._given: dict[bytes, ChatTemplate] = {}
        self._kwargs, self._moment = dict(kwargs or {}), moment
        self._seconds, self._memory = seconds, memory
        self._ends = frozenset(ends)

    def at(self, moment: datetime | None) -> ChatTemplate:
        """The same at a moment."""
        return ChatTemplate(self.tokenizer, self._kwargs, moment, self._ends, self._seconds, self._memory)

    def given(self, arguments: TemplateArguments) -> ChatTemplate:
        """The same for a row with template arguments of its own, which come before the run's.

        What the checks find out is kept apart: another argument may make the template leave out something else.
        """
        if not arguments:
            return self
        key = canonical(arguments)
        if key not in self._given:
            if len(self._given) == KEPT:
                del self._given[next(iter(self._given))]  # the oldest
            kwargs = {**self._kwargs, **arguments}
            self._given[key] = ChatTemplate(
                self.tokenizer, kwargs, self._moment, self._ends, self._seconds, self._memory
            )
        return self._given[key]

    @cached_property
    def source(self) -> str:
        """The template's own text; where a tokenizer has several templates, all of them."""
        written = self.tokenizer.chat_template or ""
        return "\n".join(written.values()) if isinstance(written, dict) else str(written)

    @cached_property
    def asks_for_time(self) -> bool:
        return "strftime_now" in self.source

    @cached_property
    def reads_ids(self) -> bool:
        """Whether the template looks at the ids of calls."""
        return bool(READS_IDS.search(self.source))

    @cached_property
    def ends(self) -> dict[str, int]:
        """The tokens at which inference stops, text -> id: the tokenizer's and those of generation_config."""
        ids = sorted({*self._ends, self.tokenizer.eos_token_id} - {None})
        return {self._token(number): number for number in ids if number < len(self.tokenizer)}

    @cached_property
    def specials(self) -> dict[str, int]:
        """The special tokens, text -> id: one of them ends a turn where none of `ends` does."""
        known = self.tokenizer.added_tokens_decoder
        return {token.content: number for number, token in known.items() if token.special}

    def text(self, messages: Messages, tools: Tools, *, generation: bool = False) -> str:
        """The messages as the template writes them; with `generation`, up to where an answer begins.

        Raises:
            RowRefused: the template raises an error, such as on a role that it does not know.
        """
        return self._text(self.messages(messages), tools, generation)

    def messages(self, messages: Messages) -> Messages:
        """The messages with their content as the template wants it: texts, or lists of parts."""
        return _in_parts(messages) if self._wants_parts else messages

    def _text(self, messages: Messages, tools: Tools, generation: bool) -> str:
        if not is_limited():  # one text alone, as for a preview or an answer
            with self.limited():
                return self._written(messages, tools, generation)
        return self._written(messages, tools, generation)

    def _written(self, messages: Messages, tools: Tools, generation: bool) -> str:
        write: Any = self.tokenizer.apply_chat_template
        aliased = _with_reasoning(messages) if self._reads_reasoning else messages
        try:
            with self.clock(), memory_limit(self._memory):
                text = write(aliased, tools=tools, add_generation_prompt=generation, tokenize=False, **self._kwargs)
        except TooLong:
            raise
        except MemoryError:
            raise RowRefused("template_refused", NO_ROOM.format(most=self._memory // 2**20)) from None
        except Exception as error:  # templates raise what they like: Jinja's errors, or any that their filters make
            raise RowRefused("template_refused", visible.name(first_line(error))) from None
        return str(text)

    def ids(self, text: str) -> list[int]:
        """Token ids of a text that the template wrote; special tokens stand in the text already."""
        return list(self.tokenizer(text, add_special_tokens=False)["input_ids"])

    @contextmanager
    def limited(self) -> Iterator[None]:
        """Refuse the row where the block, its texts, takes too long.

        Raises:
            RowRefused: it did.
        """
        try:
            with time_limit(self._seconds):
                yield
        except TooLong:
            raise RowRefused("template_refused", NO_TIME.format(seconds=self._seconds)) from None

    def _token(self, number: int) -> str:
        token = self.tokenizer.convert_ids_to_tokens(number)
        assert isinstance(token, str)  # a list only of several ids
        return token

    @cached_property
    def _wants_parts(self) -> bool:
        """Whether the template writes what messages say only where it comes as a list of parts, as with images."""
        return not self._writes(TRIED) and self._writes(_in_parts(TRIED))

    def _writes(self, messages: Messages) -> bool:
        try:
            text = self._text(messages, None, False)
        except RowRefused:
            return False
        return not AS_WRITTEN.search(text) and all(message["content"] in text for message in TRIED)

    @cached_property
    def _reads_reasoning(self) -> bool:
        """Whether the template knows reasoning by the one name that transformers does not fill in."""
        return "reasoning_content" not in self.source and bool(re.search(r"\breasoning\b", self.source))

    @contextmanager
    def clock(self) -> Iterator[None]:
        """Let the template's `strftime_now` tell the run's moment: transformers takes no function from outside."""
        if self._moment is None or not self.asks_for_time:
            yield
            return
        from transformers.utils import chat_template_utils as library

        asked, moment = library.datetime, self._moment

        class Stopped(datetime):
            @classmethod
            def now(cls, tz: Any = None) -> Any:
                return moment

        vars(library)["datetime"] = Stopped
        try:
            yield
        finally:
            vars(library)["datetime"] = asked


def _in_parts(messages: Messages) -> Messages:
    return [{**message, "content": [{"type": "text", "text": message["content"]}]} for message in messages]


def _with_reasoning(messages: Messages) -> Messages:
    return [
        {**message, "reasoning": message["reasoning_content"]} if "reasoning_content" in message else message
        for message in messages
    ]
