"""A dataset as models are trained on it whose recipe says `data.task`: each row opens with the task card in words.

Changes no file. Where the tuned model is asked later, `evaluate.answering` puts the same words first.
"""

from __future__ import annotations

from collections.abc import Iterator

from synth.dataset import DatasetDir
from synth.example import Example, Split, system


class InstructedDataset(DatasetDir):
    """The dataset of a folder; ids of its rows stay those of the bare rows."""

    def examples(self, split: Split) -> Iterator[Example]:
        """Rows of a split in file order, each with the instruction among its system message."""
        said = self.task.in_words()
        return (instructed(example, said) for example in super().examples(split))

    def draw(self, split: Split, most: int | None, seed: int) -> list[Example]:
        """As `DatasetDir.draw`, with the instruction."""
        said = self.task.in_words()
        return [instructed(example, said) for example in super().draw(split, most, seed)]


def instructed(example: Example, said: str) -> Example:
    """The row with one more instruction, after its own, as `evaluate.predict.prompts` puts it; once only."""
    own = [message.text for message in example.prompt if message.role == "system"]
    if not said or said in own:
        return example
    turns = [message for message in example.prompt if message.role != "system"]
    return example.model_copy(update={"prompt": (system("\n\n".join([*own, said])), *turns)})
