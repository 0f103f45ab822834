"""Answer one prompt with a model, or with an adapter on its base, on this machine.

Command:  python3 -m steps.answer --model DIR --prompt "…"
          python3 -m steps.answer --adapter DIR --base DIR_OR_HUB_ID [--revision R] --prompt "…"
          python3 -m steps.answer … --stay   (the lines that go to and fro: steps/answer/stay.py)
Inputs:   --model: a model of its own, as Merge writes it; --adapter: what training wrote. Their tokenizer and chat
          template are used, for the base's answer (--beside) too, with the chat_template_kwargs of the training.
          --tokenizer: a folder to take them from instead, as for a version's base.
          --record: a file for question and answer as an endpoint would have them.
          --tools: a JSON list of functions, in any form that
          Preprocess reads.
Outputs:  the answer on stdout, word by word, tool calls as the model writes them; with --json one document instead. On
          stderr each call once more, with what is wrong with it.
Limits:   one prompt, one answer, but for --stay; the weights as they are stored, so that an adapter that was trained
          over NF4 answers over the unquantised base, as it is served. A GPU is used where there is one, which has not
          been tried.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from steps.answer import conversation
from steps.answer.calls import calls_of, lines
from steps.answer.exchange import exchange, parser_of
from steps.answer.limits import MAX_NEW_TOKENS, NOTE
from steps.answer.stay import stay
from steps.answer.weights import find_weights
from steps.shared import contract
from steps.shared.pages import visible
from steps.shared.records import Messages, Tools
from steps.shared.templates.trained_with import trained_kwargs

if TYPE_CHECKING:
    from steps.answer.generate import Voice


def main(argv: list[str]) -> None:
    options = _parse(argv)
    if options.stay:
        own = find_weights(options.model, options.adapter, options.base, options.revision)
        stay(own, options.tokenizer or own.tokenizer)
    else:
        _answer_once(options)


def _answer_once(options: argparse.Namespace) -> None:
    tools = conversation.read_tools(options.tools) if options.tools else None
    messages = conversation.messages(options.prompt, options.system)
    own = find_weights(options.model, options.adapter, options.base, options.revision)
    tokenizer = options.tokenizer or own.tokenizer
    other = find_weights(options.base, None, None, options.revision) if options.beside and not own.adapter else None
    from steps.answer.generate import Voice  # torch comes last: what else is wrong is said at once

    parser, template_kwargs = parser_of(tokenizer), trained_kwargs(tokenizer)
    voice = Voice(own, tokenizer, template_kwargs)
    said = {"answer": _said(voice, messages, tools, parser, options, as_base=False)}
    if options.beside:
        voice = Voice(other, tokenizer, template_kwargs) if other else voice
        said["base"] = _said(voice, messages, tools, parser, options, as_base=True)
    if options.record:
        own_answer = said["answer"]
        told = exchange(messages, tools, own_answer["text"], cut=own_answer["cut"], parser=parser)
        contract.write_json(options.record, told)
    if options.json:
        print(json.dumps(said, ensure_ascii=False, indent=2))


def _said(
    voice: Voice, messages: Messages, tools: Tools, parser: str | None, options: argparse.Namespace, *, as_base: bool
) -> dict[str, Any]:
    """An answer and its calls; what they say goes to stdout while it comes, the sizes and the marks to stderr."""
    if options.beside and not options.json:
        print("--- the base model" if as_base else "--- this version", flush=True)
    prompt = voice.prompt(messages, tools, options.max_new_tokens)
    _note(f"{len(prompt)} tokens of prompt", options)
    heard = None if options.json else _print
    new, temperature = options.max_new_tokens, options.temperature
    answer = voice.answer(prompt, max_new_tokens=new, temperature=temperature, heard=heard, as_base=as_base)
    end = ", cut there by --max-new-tokens" if answer.cut else ""
    _note(f"{answer.tokens} tokens of answer in {answer.seconds:.1f} s{end}", options)
    calls = calls_of(answer.text, tools, parser)
    for line in lines(calls):
        _note(line, options)
    return asdict(answer) | asdict(calls)


def _note(text: str, options: argparse.Namespace) -> None:
    if options.notes_among_words:
        print(f"{NOTE}{text}", flush=True)
    else:
        print(text, file=sys.stderr, flush=True)


def _print(text: str) -> None:
    """What a model says, without what would move a terminal's cursor."""
    print(visible.visible(text), end="", flush=True)


def _parse(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python3 -m steps.answer", description=__doc__.splitlines()[0])
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--model", help="folder of the model")
    which.add_argument("--adapter", type=Path, help="folder of the adapter, as training wrote it")
    parser.add_argument("--base", help="folder of the adapter's base model, or its hub name")
    parser.add_argument("--revision", help="commit, tag or branch of a hub model; ignored for a folder")
    parser.add_argument("--beside", action="store_true", help="let the base answer too")
    parser.add_argument("--tokenizer", type=Path, help="folder of another tokenizer and chat template than the model's")
    how = parser.add_mutually_exclusive_group(required=True)
    how.add_argument("--prompt", help="what the user says")
    how.add_argument("--stay", action="store_true", help="answer requests, lines of JSON on stdin, until it ends")
    parser.add_argument("--system", help="what the system says before")
    parser.add_argument("--tools", type=Path, help="JSON file with the functions that may be called")
    parser.add_argument("--max-new-tokens", type=int, default=MAX_NEW_TOKENS)
    parser.add_argument("--temperature", type=float, default=0.0, help="0: always the likeliest token")
    parser.add_argument("--record", type=Path, help="write question and answer there, in the chat-completions form")
    parser.add_argument("--json", action="store_true", help="print one JSON document when all is said")
    parser.add_argument(
        "--notes-among-words", action="store_true",
        help="write what is for stderr to stdout, as lines behind U+001E: for a reader of both who keeps their order",
    )  # fmt: skip
    options = parser.parse_args(argv)
    if (options.adapter or options.beside) and not options.base:
        parser.error("--adapter and --beside need --base")
    if options.max_new_tokens < 1 or options.temperature < 0:
        parser.error("--max-new-tokens must be at least 1, --temperature at least 0")
    return options


if __name__ == "__main__":
    try:
        sys.exit(contract.run(lambda: main(sys.argv[1:])))
    except KeyboardInterrupt:
        sys.exit(130)
