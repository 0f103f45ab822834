"""Lines of captures joined with the opinions on them, in the order of the lines: the first usable of an id counts.

Every line of either kind is counted here with its state, or held until its state is known.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from steps.collect.answers import Capture, Prompts
from steps.collect.captures import CaptureFiles, Place
from steps.collect.feedback import Opinion
from steps.collect.join.look import Looked, Refused
from steps.collect.states import CaptureState, FeedbackState


@dataclass
class Lines:
    """What is known of all lines.

    Attributes:
        captures: those that somebody spoke of, and that may have an answer to train on.
        passed: states of the others, and of feedback that was not read.
        named: what is told one by one: (kind, file, line, state, reason).
    """

    opinions: list[Opinion] = field(default_factory=list)
    captures: list[Capture] = field(default_factory=list)
    passed: Counter[CaptureState] = field(default_factory=Counter)
    unread: int = 0
    named: list[tuple[str, str, int, str, str]] = field(default_factory=list)


class Join:
    """Takes what was looked at, in the order of the captures' lines.

    Attributes:
        prompts: the answers that can be trained on, with their opinions.
    """

    def __init__(self, files: CaptureFiles, wanted: Mapping[str, list[Opinion]], lines: Lines) -> None:
        self._files, self._wanted, self._lines = files, wanted, lines
        self._usable: dict[str, bool] = {}  # ids that were captured, and whether an answer to train on is under them
        self.prompts = Prompts()

    def passed(self, count: int) -> None:
        """So many captures that nobody spoke of."""
        self._lines.passed[CaptureState.NO_FEEDBACK] += count

    def add(self, looked: Looked) -> None:
        place, ids, found = looked
        if any(self._usable.get(one) for one in ids):
            found = Refused(CaptureState.DUPLICATE, "its id was captured before")
        else:
            self._usable |= dict.fromkeys(ids, not isinstance(found, Refused))
        if isinstance(found, Refused):
            self._leave_out(place, found)
            return
        said = [opinion for one in ids for opinion in self._wanted[one]]
        capture = Capture(ids[0], place, self._files.origins[place.file], found.model, found.time, said)
        self._lines.captures.append(capture)
        self.prompts.add(found.key, found.digest, found.calls, capture)

    def finish(self) -> None:
        """All lines were added: say so to opinions on what is no answer to train on."""
        for named, said in self._wanted.items():
            if not self._usable.get(named):
                state = FeedbackState.CAPTURE_LEFT_OUT if named in self._usable else FeedbackState.NO_CAPTURE
                for opinion in said:
                    opinion.state = state

    def _leave_out(self, place: Place, why: Refused) -> None:
        self._lines.passed[why.state] += 1
        self._lines.named.append(("capture", self._files.name(place), place.line, why.state, why.reason))
