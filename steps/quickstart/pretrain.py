"""How the tiny model is taught: on the sample's answers and on its calls told again, one small batch after another.

Half a minute of one core is all there is, so what is easy gets little of it: half of a batch copies names and numbers
from the question into a call, and these tokens count most.
"""

from __future__ import annotations

import copy
import json
import random
import re
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import torch

from steps.quickstart.lessons import Lesson, lessons, told_again
from steps.quickstart.muon import Muon

Encoded = tuple[list[int], list[float]]  # token ids, and what each counts in the loss
SEED = 20
STEPS = 260
COPIES_PER_STEP, OTHERS_PER_STEP = 7, 6  # answers that copy a value from the question, and all others
MATRIX_RATE, VECTOR_RATE = 0.02, 2e-3
# Wide, and a small rate: names of one kind get one gradient, under which narrow vectors become one another. Then what
# kind of name belongs here can be told, but not which one was said.
EMBEDDING_STD = 0.2
VALUE_WEIGHT = 5.0  # of a token that is copied in the loss: there are few, and the others are easy


def words_apart(text: str) -> list[str]:
    """The text cut before the spaces in front of capitals: no token joins the two.

    So a name is the same tokens behind a space, as in a question, and behind a quotation mark, as in a call.
    """
    return re.split(r" (?=[A-Z])", text)


def pretrain(model: Any, tokenizer: Any, rows: list[dict[str, Any]]) -> float:
    """Teach the model both answers of every row alike, and to copy; returns the last steps' mean loss of a token.

    Only answers count, as every prompt is given. Muon on the matrices: AdamW alone needs several times the steps.
    """
    chooser = random.Random(SEED)
    known = lessons(rows)
    known += told_again(chooser, known)
    copies = _Deck(chooser, [encode(tokenizer, lesson) for lesson in known if lesson.copies])
    others = _Deck(chooser, [encode(tokenizer, lesson) for lesson in known if not lesson.copies])
    torch.nn.init.normal_(model.get_input_embeddings().weight, std=EMBEDDING_STD)
    inner = [weight for name, weight in model.named_parameters() if weight.ndim == 2 and "embed" not in name]
    inner_ids = {id(weight) for weight in inner}
    outer = [weight for weight in model.parameters() if id(weight) not in inner_ids]
    optimizers: list[torch.optim.Optimizer] = [
        Muon(inner, lr=MATRIX_RATE, momentum=0.9, weight_decay=0.01),
        torch.optim.AdamW(outer, lr=VECTOR_RATE, betas=(0.9, 0.98), weight_decay=0.0),
    ]
    schedules = [
        torch.optim.lr_scheduler.LambdaLR(each, lambda step: min((step + 1) / 20, 1) * (1 - step / STEPS))
        for each in optimizers
    ]
    losses: list[float] = []
    with _Halves(model, tokenizer.pad_token_id) as halves:
        for _ in range(STEPS):
            losses.append(halves.backward(copies.draw(COPIES_PER_STEP) + others.draw(OTHERS_PER_STEP)))
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            for optimizer, schedule in zip(optimizers, schedules, strict=True):
                optimizer.step()
                schedule.step()
            model.zero_grad()
    return sum(losses[-20:]) / 20


class _Halves:
    """Computes the gradients of a batch in two threads, each on a model of its own: of the short sequences and of the
    long ones, so that little is padding. The threads of one operation would gain little: all are small."""

    def __init__(self, model: Any, padding: int) -> None:
        self._models, self._padding = (model.train(), copy.deepcopy(model).train()), padding
        self._threads = ThreadPoolExecutor(len(self._models))

    def __enter__(self) -> _Halves:
        return self

    def __exit__(self, *_: object) -> None:
        self._threads.shutdown()

    def backward(self, batch: list[Encoded]) -> float:
        """Leave the gradients of the weighted mean loss in the model; the mean loss of a token."""
        model, twin = self._models
        with torch.no_grad():
            for own, other in zip(model.parameters(), twin.parameters(), strict=True):
                other.copy_(own)
        ordered = sorted(batch, key=lambda one: len(one[0]))
        middle = (len(ordered) + 1) // 2
        counted = sum(weight > 0 for _, weights in ordered for weight in weights)
        parts = ordered[:middle], ordered[middle:]
        losses = list(self._threads.map(lambda model, part: self._half(model, part, counted), self._models, parts))
        for own, other in zip(model.parameters(), twin.parameters(), strict=True):
            if other.grad is not None:  # a batch of one sequence has no long ones
                own.grad += other.grad
        twin.zero_grad()
        return sum(losses)

    def _half(self, model: Any, part: list[Encoded], counted: int) -> float:
        if not part:
            return 0.0
        inputs = pad([ids for ids, _ in part], self._padding)
        weights = pad([weights for _, weights in part], 0.0)[:, 1:]
        kept = weights > 0
        hidden = model.model(input_ids=inputs).last_hidden_state[:, :-1][kept]
        each = torch.nn.functional.cross_entropy(model.lm_head(hidden), inputs[:, 1:][kept], reduction="none")
        ((each * weights[kept]).sum() / counted).backward()
        return each.sum().item() / counted


class _Deck:
    """Encoded lessons, drawn in random order; all of them before one comes again."""

    def __init__(self, chooser: random.Random, cards: list[Encoded]):
        self._chooser, self._cards = chooser, cards
        self._waiting: list[Encoded] = []

    def draw(self, count: int) -> list[Encoded]:
        """As many; none where there are no cards at all."""
        while self._cards and len(self._waiting) < count:
            self._waiting = self._chooser.sample(self._cards, len(self._cards)) + self._waiting
        drawn, self._waiting = self._waiting[-count:], self._waiting[:-count]
        return drawn


def encode(tokenizer: Any, lesson: Lesson) -> Encoded:
    """Token ids of a whole conversation, and what each counts in the loss.

    A token of the prompt and of a value that nobody said counts nothing, one of a value that was said VALUE_WEIGHT, any
    other of the answer 1.
    """
    write = tokenizer.apply_chat_template
    prompt = write(lesson.messages, tools=lesson.tools, add_generation_prompt=True, tokenize=False)
    whole = write([*lesson.messages, lesson.answer], tools=lesson.tools, tokenize=False)
    answer = whole.removeprefix(prompt)
    prompt_ids, encoded = tokenizer(prompt)["input_ids"], tokenizer(answer, return_offsets_mapping=True)
    weights = [1.0] * len(encoded["input_ids"])
    for name, value in lesson.arguments:
        before, text = f"{json.dumps(name)}: ", json.dumps(value, ensure_ascii=False)
        start = answer.find(before + text)
        if start < 0:  # a template or data of another kind may write it otherwise
            continue
        span = range(start + len(before), start + len(before + text))
        weight = VALUE_WEIGHT if lesson.said(value) else 0.0
        weights = [
            weight if at in span else other for (at, _), other in zip(encoded["offset_mapping"], weights, strict=True)
        ]
    return prompt_ids + encoded["input_ids"], [0.0] * len(prompt_ids) + weights


def pad(sequences: list[list[Any]], filler: float) -> torch.Tensor:
    """The sequences side by side, filled up at their ends: shape (sequences, longest)."""
    longest = max(map(len, sequences))
    return torch.tensor([sequence + [filler] * (longest - len(sequence)) for sequence in sequences])
