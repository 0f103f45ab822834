"""Prompts to pairs, with every line of them accounted for: read, answered, scored, compared, chosen, written."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from steps.candidates import judge as judges
from steps.candidates import model as models
from steps.candidates import prompts as given_prompts
from steps.candidates.answered import Answer, answered
from steps.candidates.choose import Choice, choose, chosen_by_judge, different
from steps.candidates.judge import Judge
from steps.candidates.model import Files, Origin
from steps.candidates.options import Options
from steps.candidates.prompts import Given, Prompt
from steps.candidates.report import Report
from steps.candidates.score import Score, Signs, score
from steps.candidates.states import State
from steps.preprocess.layouts.beside import PROVENANCE
from steps.shared.disks import filling
from steps.shared.folders import sole_writer, staged
from steps.shared.records import ARGUMENTS
from steps.shared.templates.pair import prompt_ids, render_pair
from steps.shared.templates.refused import RowRefused
from steps.train.answers.said import Said

PAIRS, LEFT_OUT = "pairs/pairs.jsonl", "report/left_out.jsonl"
RULE = "candidates"


@dataclass
class _Work:
    """What is known on the way.

    Attributes:
        texts: tokens of the prompts that are asked, in their order.
        made: prompt -> its pair, in the order of the prompts.
    """

    options: Options
    who: Origin
    given: Given
    end: float
    misfit: str | None = None
    parser: str | None = None
    judge: Judge | None = None
    no_judge: str | None = None
    said: dict[str, list[Said]] = field(default_factory=dict)
    seconds: float = 0.0
    made: list[tuple[Prompt, Choice]] = field(default_factory=list)


def candidates(options: Options, judge: Judge | None = None) -> Report:
    """Run the step and return its report; the output appears whole, or not at all.

    Args:
        judge: in the place of the one that the options name.

    Raises:
        StepError: an option is wrong, a file cannot be read, the base cannot be loaded, the judge does not answer, or
            another run writes to the output folder.
    """
    options.check()
    with filling(options.output), sole_writer(options.output), staged(options.output) as staging:
        return _made(options, judge, staging)


def _made(options: Options, judge: Judge | None, staging: Path) -> Report:
    end = time.monotonic() + 60 * options.max_minutes
    given = given_prompts.read(options.unpaired, options.prompts, options.pairs)
    work = _Work(options, models.origin(options), given, end)
    work.no_judge = None if judge else judges.reachable(options.judge)
    if work.no_judge is None:
        assert judge or options.judge
        work.judge = judge or judges.of_bedrock(str(options.judge), options.judge_max_tokens, end)
    if given.open() and (files := _files(work)):
        asked = _askable(work, files)
        if asked:
            _answer(work, files, asked)
            _pair(work, files, [prompt for prompt, _ in asked])
    _write(staging / PAIRS, [_row(work, prompt, choice) for prompt, choice in work.made])
    _write(staging / LEFT_OUT, _named(given))
    found = _report(work)
    found.write(staging / "report")
    return found


def _files(work: _Work) -> Files | None:
    """None where the adapter that should answer does not belong to the base: the run goes on without candidates."""
    try:
        return models.find(work.options, work.who)
    except models.Misfit as error:
        work.misfit = str(error)
        for prompt in work.given.open():
            prompt.end(State.NO_MODEL, work.misfit)
        return None


def _askable(work: _Work, files: Files) -> list[tuple[Prompt, tuple[int, ...]]]:
    """The prompts to answer with their tokens; the others get the state that says why not."""
    work.parser = files.parser
    found: list[tuple[Prompt, tuple[int, ...]]] = []
    for prompt in work.given.open():
        if work.judge is None and not (prompt.tools and files.parser):
            prompt.end(State.NO_VERIFIER)
            continue
        if len(found) == work.options.max_prompts:
            prompt.end(State.OVER_LIMIT)
            continue
        try:
            ids = prompt_ids(files.template.given(prompt.arguments), prompt.messages, prompt.tools)
        except RowRefused as error:
            prompt.end(State.REFUSED, str(error))
            continue
        if not ids:
            prompt.end(State.REFUSED, "it makes no token")
        elif files.positions is not None and len(ids) + work.options.max_new_tokens > files.positions:
            prompt.end(State.TOO_LONG, f"{len(ids)} tokens, and the model has {files.positions} positions")
        else:
            found.append((prompt, tuple(ids)))
    return found


def _answer(work: _Work, files: Files, asked: Sequence[tuple[Prompt, tuple[int, ...]]]) -> None:
    from steps.candidates.generate import answers  # torch comes last: what else is wrong is said at once

    prompts, ids = [prompt for prompt, _ in asked], [tokens for _, tokens in asked]
    print(f"{len(prompts)} prompts are answered {work.options.answers} times each by {work.who.kind}", flush=True)
    loaded = models.load(files)
    begin = time.monotonic()
    said = answers(loaded, prompts, ids, work.options, work.end)
    work.seconds = time.monotonic() - begin
    for place, prompt in enumerate(prompts):
        if place in said:
            work.said[prompt.key] = said[place]
        else:
            prompt.end(State.OVER_TIME)


def _pair(work: _Work, files: Files, prompts: Sequence[Prompt]) -> None:
    """Choose from the answers of each prompt that has some; where the verifier finds no difference a judge decides."""
    signs = Signs.of(files.template)
    chosen: dict[str, Choice | State] = {}
    undecided: list[tuple[Prompt, list[Answer]]] = []
    for prompt in prompts:
        if prompt.key not in work.said:
            continue
        own = [answered(said, n, files.parser, prompt.tools) for n, said in enumerate(work.said[prompt.key])]
        scores = [score(answer, prompt, signs) for answer in own]
        chosen[prompt.key] = choose(own, scores, work.options.margin, referenced=prompt.reference is not None)
        if chosen[prompt.key] is State.NO_DIFFERENCE and len(texts := _texts(own, scores)) > 1:
            undecided.append((prompt, texts))
    if work.judge:
        for (prompt, texts), values in zip(undecided, work.judge.scores(undecided), strict=True):
            if values is None:
                prompt.reason = f"not judged: {work.judge.stopped}"
                continue
            judged = list(zip(texts, values, strict=True))
            chosen[prompt.key] = chosen_by_judge(judged, work.options.answers, work.options.margin)
    for prompt in prompts:
        if prompt.key in chosen:
            _settle(work, files, prompt, chosen[prompt.key])


def _texts(answers: Sequence[Answer], scores: Sequence[Score | None]) -> list[Answer]:
    """The different answers with nothing wrong and without calls: what a judge can compare."""
    return [answer for answer, one in different(answers, scores) if one.wrong is None and not answer.calls]


def _settle(work: _Work, files: Files, prompt: Prompt, found: Choice | State) -> None:
    if isinstance(found, State):
        prompt.end(found, prompt.reason)
        return
    template = files.template.given(prompt.arguments)
    try:
        render_pair(template, prompt.messages, [found.chosen.message], [found.rejected.message], prompt.tools)
    except RowRefused as error:
        prompt.end(State.NOT_RENDERED, str(error))
        return
    prompt.end(State.PAIRED)
    work.made.append((prompt, found))


def _row(work: _Work, prompt: Prompt, choice: Choice) -> dict[str, Any]:
    row: dict[str, Any] = {
        "prompt": prompt.messages,
        "chosen": [choice.chosen.message],
        "rejected": [choice.rejected.message],
    }
    if prompt.tools is not None:
        row["tools"] = prompt.tools
    if prompt.arguments:
        row[ARGUMENTS] = prompt.arguments
    about = {
        "rule": RULE,
        "by": choice.rule,
        "answered_by": work.who.kind,
        "model_version": work.who.version,
        "base": work.options.model_name or work.options.base,
        "sampling": work.options.sampling,
        "margin": work.options.margin,
        "scores": list(choice.scores),
        "chosen": choice.chosen.number,
        "rejected": choice.rejected.number,
        "judge": work.judge.model if work.judge and choice.rule == "judge" else None,
        "prompt_of": {"source": prompt.source, "file": prompt.file, "line": prompt.line},
        "inference_ids": prompt.inference_ids or None,
        "reference": prompt.reference is not None,
    }
    return row | {PROVENANCE: {name: value for name, value in about.items() if value is not None}}


def _named(given: Given) -> list[dict[str, Any]]:
    """Lines of which there is more to say than their state."""
    told = [
        (prompt.source, prompt.file, prompt.line, prompt.state, prompt.reason)
        for prompt in given.prompts
        if prompt.reason
    ]
    keys = ("source", "file", "line", "state", "reason")
    return [dict(zip(keys, entry, strict=True)) for entry in (*given.named, *told)]


def _write(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "wb") as file:
        for row in rows:
            file.write(orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE))


def _report(work: _Work) -> Report:
    states = Counter(work.given.passed)
    for prompt in work.given.prompts:
        if prompt.state is None:
            raise AssertionError("a prompt without a state: the counts would not add up")
        states[prompt.state] += 1
    said = [one for answers in work.said.values() for one in answers]
    return Report(
        states=states,
        rules=Counter(choice.rule for _, choice in work.made),
        who=work.who,
        answers=len(said),
        tokens=sum(one.tokens for one in said),
        seconds=work.seconds,
        parser=work.parser,
        judge=work.judge,
        no_judge=work.no_judge,
        misfit=work.misfit,
        options=work.options,
    )
