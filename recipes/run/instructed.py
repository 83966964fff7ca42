"""A dataset as models are trained on it whose recipe says `data.task`: each row opens with the task card in words.

Changes no file. Where the tuned model is asked later, `evaluate.answering` puts the same words first.
"""

from __future__ import annotations

from collections.abc import Iterator

from synth.dataset import DatasetDir
from synth.example import Example, Split, system
from synth.task import TaskCard


class InstructedDataset(DatasetDir):
    """A dataset, or one in folds, with the instruction; ids of its rows stay those of the bare rows."""

    def __init__(self, bare: DatasetDir) -> None:
        super().__init__(bare.path)
        self._bare = bare

    @property
    def task(self) -> TaskCard:  # type: ignore[override]  # a property where the base has a cached one
        """The task card, guessed from bare rows where the dataset has none."""
        return self._bare.task

    def splits(self) -> list[Split]:
        """The splits that hold rows."""
        return self._bare.splits()

    def count(self, split: Split) -> int:
        """Rows of a split."""
        return self._bare.count(split)

    def examples(self, split: Split) -> Iterator[Example]:
        """Rows of a split in file order, each with the instruction among its system message."""
        said = self.task.in_words()
        return (instructed(example, said) for example in self._bare.examples(split))

    def draw(self, split: Split, most: int | None, seed: int) -> list[Example]:
        """As `DatasetDir.draw`, with the instruction."""
        said = self.task.in_words()
        return [instructed(example, said) for example in self._bare.draw(split, most, seed)]


def instructed(example: Example, said: str) -> Example:
    """The row with one more instruction, after its own, as `evaluate.predict.prompts` puts it; once only."""
    own = [message.text for message in example.prompt if message.role == "system"]
    if not said or said in own:
        return example
    turns = [message for message in example.prompt if message.role != "system"]
    return example.model_copy(update={"prompt": (system("\n\n".join([*own, said])), *turns)})
