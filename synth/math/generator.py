"""Fill the four splits with checked problems; everything that is dropped is dropped with a reason.

train, val and test share families but never numbers: each draw belongs to one of them by a hash of its numbers.
test_ood has families of its own. Deterministic by the spec; rows come one by one.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from itertools import count
from random import Random
from typing import Any

from synth.context import Context
from synth.curation.leakage import Known
from synth.errors import DataError
from synth.example import GENERATED_SPLITS, Example, Origin, Split, make_example, user
from synth.generators import Candidate, Offers, kept, rejected, was_kept
from synth.marks import Seen
from synth.math.family import Family, Unfit, Values, difficulty
from synth.math.problems import Problem, draw_values, key_of, plain, pose
from synth.math.spec import DOMAINS, Spec
from synth.scoring.names import MATH
from synth.shelf import Stack
from synth.task import TaskCard

VERSION = 4
TASK = TaskCard(
    instruction="Solve the problem. Write one calculation a line, then the result in a last line.",
    kind="question_answering",
    answer_format="a last line `Answer: …` with a plain number (two decimals when it is not whole) or a time as HH:MM",
)
MAX_MISSES = 2000
"""Draws in a row without a new row after which a family counts as exhausted."""
_OWNERS: tuple[Split, ...] = ("train",) * 7 + ("val",) + ("test",) * 2


def generate(spec: Spec, context: Context) -> Offers:
    """Candidates in the order train, val, test, test_ood; families take turns. Raises DataError when one runs dry."""
    taken: dict[Split, Seen] = {}
    earlier: dict[Split, Known] = {}
    for split in GENERATED_SPLITS:
        if getattr(spec, split):
            filler = _Filler(spec, split, taken, earlier, context.random)
            yield from filler.fill()
            earlier[split] = Known(filler.texts)


def owner(seed: int, key: str) -> Split:
    """The split that the numbers of `key` belong to: 70 % train, 10 % val, 20 % test."""
    return _OWNERS[zlib.crc32(f"{seed} {key}".encode()) % len(_OWNERS)]


class _Filler:
    """Draws the rows of one split."""

    def __init__(
        self,
        spec: Spec,
        split: Split,
        taken: dict[Split, Seen],
        earlier: dict[Split, Known],
        random: Callable[[str], Random],
    ) -> None:
        self.spec = spec
        self.split = split
        self.taken = taken
        self.taken[split] = Seen()
        self.earlier = earlier
        self.texts: Stack[str] = Stack(str.encode, bytes.decode)
        self.rng = random(f"math {spec.seed} {split}")
        self.families = spec.unseen_families() if split == "test_ood" else spec.seen_families()
        self.turns = {family.name: count(self.rng.randrange(64)) for family in self.families}

    def fill(self) -> Offers:
        """As many kept candidates as the spec asks for, and the rejected ones between them."""
        wanted = getattr(self.spec, self.split)
        done = 0
        while done < wanted:
            order = self.rng.sample(self.families, len(self.families))
            for family in order[: wanted - done]:
                yield from self._one(family, done)
                done += 1

    def _one(self, family: Family, done: int) -> Offers:
        """Candidates of a family up to and with the first that is kept."""
        phrasings = self._phrasings(family)
        for _ in range(MAX_MISSES):
            size = self.rng.choice(self.spec.sizes(family))
            values = draw_values(family, size, self.rng)
            if self.split != "test_ood" and owner(self.spec.seed, key_of(family, values)) != self.split:
                continue
            template = phrasings[next(self.turns[family.name]) % len(phrasings)]
            candidate = self._candidate(family, template, size, values)
            verdict = yield candidate
            if was_kept(candidate, verdict):
                self.texts.append(candidate.example.prompt[0].text if candidate.example else "")
                return
        raise DataError(
            f"The family '{family.name}' has no more new problems for {self.split} after {done} rows of all families.",
            "Ask for fewer rows, or widen the range of difficulty.",
            "data.exhausted",
        )

    def _phrasings(self, family: Family) -> list[int]:
        indices = list(range(len(family.templates)))
        if self.split == "train" and self.spec.unseen_phrasings:
            return indices[: -self.spec.unseen_phrasings]
        return indices

    def _candidate(self, family: Family, template: int, size: int, values: Values) -> Candidate:
        distract = self.rng.random() < self.spec.distractor_rate
        row: dict[str, Any] = {"split": self.split, "template": _template_id(family, template), "params": plain(values)}
        domain = DOMAINS[family.domain]
        try:
            problem = pose(family, domain, values, family.templates[template], distract, self.rng)
        except Unfit as fault:
            return rejected(row, str(fault))
        row["prompt"], row["answer"] = problem.text, problem.answer
        example = self._example(family, template, size, values, problem)
        if same := next((split for split, taken in self.taken.items() if example.id in taken), None):
            return rejected(row, f"the same prompt is in {same}")
        if near := next((split for split, known in self.earlier.items() if known.near(problem.text)), None):
            return rejected(row, f"nearly the same prompt is in {near}")
        self.taken[self.split].add(example.id)
        return kept(example)

    def _example(self, family: Family, template: int, size: int, values: Values, problem: Problem) -> Example:
        rationale = "\n".join(problem.lines)
        ending = f"Answer: {problem.answer}"
        return make_example(
            (user(problem.text),),
            f"{rationale}\n{ending}" if self.spec.target_style == "worked" else ending,
            answer=problem.answer,
            split=self.split,
            family=family.name,
            template=_template_id(family, template),
            scorer=MATH,
            origin=Origin(kind="template", by=_template_id(family, template)),
            source={
                "generator": "math",
                "generator_version": VERSION,
                "seed": self.spec.seed,
                "domain": family.domain,
                "difficulty": difficulty(family.steps, size),
                "size": size,
                "params": plain(values),
                "distractor": problem.distractor,
                "rationale": rationale,
            },
        )


def _template_id(family: Family, template: int) -> str:
    return f"{family.name}/t{template:02d}"
