"""Held-out prompts, answered by base, candidate and champion: the same prompts, greedily, within a time.

The ranks share the questions, and make the same number of forward passes, since under FSDP each is collective. A batch
goes through all sides before the next one begins: when the time is over, what was answered by all of them counts.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from steps.shared.records import Record
from steps.shared.signs.phases import Count
from steps.shared.templates.chat_template import ChatTemplate
from steps.train.answers import memory
from steps.train.answers.choose import Chosen, choose
from steps.train.answers.prefix import Batch, batches
from steps.train.answers.said import Answers, Question, Said, Side
from steps.train.answers.sides import answering, as_side, base, champions
from steps.train.arguments import TrainArguments
from steps.train.evaluation.champion import Champion
from steps.train.evaluation.scorer import Scorer

if TYPE_CHECKING:
    from steps.train.answers.generate import Writer
    from steps.train.rows.tokenise import Pair

log = logging.getLogger(__name__)


class OutOfTime(Exception):
    """The time for all answers is over, on every rank."""


def ask(
    scorer: Scorer,
    rival: Champion | None,
    records: Sequence[Record],
    pairs: Sequence[Pair],
    template: ChatTemplate,
    arguments: TrainArguments,
) -> Answers | str:
    """What every side says to the same questions; or why none was asked. All ranks must call it together, and all get
    the whole.

    Args:
        records: the held-out rows; those of which `pairs` has none are not asked.

    Raises:
        Interrupted: a process got SIGTERM; on every rank.
    """
    from steps.train.runtime import ranks

    if not arguments.evaluate_answers:
        return "evaluate_answers: 0"
    # One rank chooses: a template that needs too long does so on some machines and not on others.
    chosen = ranks.done_by_first(lambda: _choose(scorer, records, pairs, template, arguments))
    if not chosen.questions:
        return f"no held-out prompt can be asked ({_reasons(chosen)})"
    has_champion, no_champion = champions(scorer, rival)
    sides: tuple[Side, ...] = ("base", "candidate", "champion") if has_champion else ("base", "candidate")
    log.info("%d held-out prompts are answered by %s", len(chosen.questions), " and ".join(sides))
    begin = time.monotonic()
    longest = max(pair.tokens for pair in pairs)
    found, out_of_time = _Round(scorer, rival, sides, chosen.questions, template, longest).answers()
    seconds = time.monotonic() - begin
    if not found:
        return (
            f"no prompt was answered by all sides within answers_max_minutes, {arguments.answers_max_minutes:g}; "
            "raise it, or lower answers_max_new_tokens"
        )
    numbers = sorted(found)
    said = {side: tuple(found[number][side] for number in numbers) for side in sides}
    tokens = sum(answer.tokens for answers in said.values() for answer in answers)
    log.info(
        "answers to %d of %d prompts in %.1f s: %.0f tokens/s%s", len(numbers), len(chosen.questions), seconds,
        tokens / seconds, "; answers_max_minutes was over" if out_of_time else "",
    )  # fmt: skip
    return Answers(
        questions=tuple(chosen.questions[number] for number in numbers),
        said=said,
        asked=len(chosen.questions),
        not_asked=chosen.not_asked,
        no_champion=no_champion,
        form="trained" if getattr(base(scorer), "is_loaded_in_4bit", False) else "served",
        out_of_time=out_of_time,
        seconds=round(seconds, 3),
        tokens=tokens,
    )


def _choose(
    scorer: Scorer, records: Sequence[Record], pairs: Sequence[Pair], template: ChatTemplate, arguments: TrainArguments
) -> Chosen:
    positions = getattr(base(scorer).config.get_text_config(), "max_position_embeddings", None)
    # Computing a prompt takes as much as training's pass of as many tokens did.
    longest = memory.step_tokens(arguments, arguments.max_length)
    if positions:
        longest = min(longest, positions - arguments.answers_max_new_tokens)
    return choose(records, [pair.id for pair in pairs], template, arguments.evaluate_answers, longest)


def _reasons(chosen: Chosen) -> str:
    counted = [f"{reason}: {count}" for reason, count in sorted(chosen.not_asked.items())]
    return ", ".join(counted) or "there is no held-out row"


class _Round:
    """All questions on their way through all sides, on this rank."""

    def __init__(
        self, scorer: Scorer, rival: Champion | None, sides: Sequence[Side], questions: Sequence[Question],
        template: ChatTemplate, longest: int,
    ):  # fmt: skip
        """
        Args:
            longest: tokens of the longest sequence of the held-out rows.
        """
        self._scorer, self._rival, self._sides, self._template = scorer, rival, sides, template
        self._prompts = [question.prompt_ids for question in questions]
        self._model = base(scorer)
        self._most = memory.batch_tokens(scorer.arguments, self._model.config, longest)
        self._cache_bytes = memory.cache_bytes(self._model.config, self._most, 2 if scorer.arguments.bf16 else 4)
        self._count = Count("answers", len(questions) * len(sides))
        self._answering, self._told = 0, 0.0  # the answers of the batch, and how many of them the count knows of
        self._end = time.monotonic() + 60 * scorer.arguments.answers_max_minutes

    def answers(self) -> tuple[dict[int, dict[Side, Said]], bool]:
        """Each question's answers by its number, of those that all sides answered; and whether the time was over."""
        from steps.train.answers.generate import Writer, shares_beginnings
        from steps.train.runtime import ranks

        args, new = self._scorer.args, self._scorer.arguments.answers_max_new_tokens
        ends = frozenset(self._template.ends.values())
        writer = Writer(self._scorer.model_wrapped, self._model, args.device, ends, new, self._after_some)
        shares = shares_beginnings(self._model)
        mine: dict[int, dict[Side, Said]] = {}
        out_of_time = False
        try:
            with answering(self._scorer):
                for batch in batches(self._prompts, ranks=args.world_size, new=new, most=self._most, shares=shares):
                    mine |= self._of_batch(writer, batch)
        except OutOfTime:
            out_of_time = True
        return {number: of_sides for part in ranks.gather(mine) for number, of_sides in part.items()}, out_of_time

    def _of_batch(self, writer: Writer, batch: Batch) -> dict[int, dict[Side, Said]]:
        numbers = batch.of_rank[self._scorer.args.process_index]
        prompts = [self._prompts[number] for number in numbers]
        found: dict[int, dict[Side, Said]] = {number: {} for number in numbers}
        self._answering = sum(map(len, batch.of_rank))
        for side in self._sides:
            self._told = 0.0
            self._goes_on(True)
            with as_side(side, self._scorer, self._rival, self._cache_bytes):
                answers = writer.answer(prompts, batch.shared, batch.own)
            self._count.add(self._answering - self._told)
            for number, ids in zip(numbers, answers, strict=True):
                found[number][side] = self._said(ids, writer.ends)
        return found

    def _said(self, ids: list[int], ends: frozenset[int]) -> Said:
        ended = ids[-1] in ends
        text = self._template.tokenizer.decode(ids[:-1] if ended else ids, skip_special_tokens=False)
        assert isinstance(text, str)  # a list only of several answers
        return Said(text, len(ids), ended)

    def _after_some(self, unfinished: bool) -> bool:
        """As `_goes_on`, after EVERY tokens more of a batch's answers."""
        from steps.train.answers.generate import EVERY

        goes_on = self._goes_on(unfinished)
        share = self._answering * EVERY / self._scorer.arguments.answers_max_new_tokens
        self._told += share
        self._count.add(share)
        return goes_on

    def _goes_on(self, unfinished: bool) -> bool:
        """Whether any rank has an unfinished answer. All must ask together.

        Raises:
            Interrupted: a process got SIGTERM.
            OutOfTime: on some rank.
        """
        import torch
        import torch.distributed as dist

        from steps.train.runtime.interruption import Interrupted

        device = self._scorer.args.device
        if self._scorer.interruption.requested(device):
            raise Interrupted("stopped by SIGTERM while held-out prompts were answered")
        flags = torch.tensor([unfinished, time.monotonic() > self._end], dtype=torch.float32, device=device)
        if dist.is_initialized():
            dist.all_reduce(flags, dist.ReduceOp.MAX)
        any_unfinished, late = flags.bool().tolist()
        if late:
            raise OutOfTime
        return any_unfinished
