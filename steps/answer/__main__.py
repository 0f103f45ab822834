"""Answer one prompt with a model, or with an adapter on its base, on this machine.

Command:  python3 -m steps.answer --model DIR --prompt "…"
          python3 -m steps.answer --adapter DIR --base DIR_OR_HUB_ID [--revision R] --prompt "…"
Inputs:   --model: a model of its own, as Merge writes it; --adapter: what training wrote. Their tokenizer and chat
          template are used, for the base's answer (--beside) too, with the chat_template_kwargs of the training.
          --record: a file for question and answer as an endpoint would have them.
          --tools: a JSON list of functions, in any form that
          Preprocess reads.
Outputs:  the answer on stdout, word by word, tool calls as the model writes them; with --json one document instead.
          How long prompt and answer are, on stderr.
Limits:   one prompt, one answer; the weights as they are stored, so that an adapter that was trained over NF4 answers
          over the unquantised base, as it is served. A GPU is used where there is one, which has not been tried.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path

from steps.answer import conversation
from steps.answer.exchange import exchange, parser_of
from steps.answer.limits import MAX_NEW_TOKENS, NOTE
from steps.answer.weights import find_weights
from steps.shared import contract
from steps.shared.templates.trained_with import trained_kwargs


def main(argv: list[str]) -> None:
    options = _parse(argv)
    tools = conversation.read_tools(options.tools) if options.tools else None
    messages = conversation.messages(options.prompt, options.system)
    own = find_weights(options.model, options.adapter, options.base, options.revision)
    template_kwargs = trained_kwargs(own.tokenizer)
    answering = {"answer": own}
    if options.beside:
        answering["base"] = own.base or find_weights(options.base, None, None, options.revision)
    from steps.answer.generate import answer  # torch comes last: what else is wrong is said at once

    said = {}
    for name, weights in answering.items():
        if len(answering) > 1 and not options.json:
            print("--- the base model" if name == "base" else "--- this version", flush=True)
        result = answer(
            weights, own.tokenizer, messages, tools, template_kwargs,
            max_new_tokens=options.max_new_tokens, temperature=options.temperature, stream=not options.json,
            note=_note_among_words if options.notes_among_words else _note,
        )  # fmt: skip
        said[name] = asdict(result)
    if options.record:
        parser, own_answer = parser_of(own.tokenizer), said["answer"]
        told = exchange(messages, tools, own_answer["text"], cut=own_answer["cut"], parser=parser)
        contract.write_json(options.record, told)
    if options.json:
        print(json.dumps(said, ensure_ascii=False, indent=2))


def _note(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _note_among_words(text: str) -> None:
    print(f"{NOTE}{text}", flush=True)


def _parse(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python3 -m steps.answer", description=__doc__.splitlines()[0])
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--model", help="folder of the model")
    which.add_argument("--adapter", type=Path, help="folder of the adapter, as training wrote it")
    parser.add_argument("--base", help="folder of the adapter's base model, or its hub name")
    parser.add_argument("--revision", help="commit, tag or branch of a hub model; ignored for a folder")
    parser.add_argument("--beside", action="store_true", help="let the base answer too")
    parser.add_argument("--prompt", required=True, help="what the user says")
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
