"""Chats about pictures: every answer carries loss, each with the end of its turn."""

from __future__ import annotations

import pytest

from recipes.recipe.options import Data
from recipes.train.rows import IGNORED
from recipes.vision import vision_rows
from synth.errors import DataError
from synth.example import Message, assistant, make_example, media_parts, user
from synth.workspace import Workspace
from tests.tiny_vision import picture_dataset, tiny_processor


@pytest.mark.parametrize("processor_class", ["SmolVLM"])
def test_every_answer_about_pictures_is_learned_unless_the_last_alone_is_asked_for(
    processor_class: str, workspace: Workspace
) -> None:
    dataset = picture_dataset(workspace, rows=2)
    processor = tiny_processor(processor_class)
    first, second = (media_parts(example)[0] for example in dataset.examples("train"))
    unlearned = Message(role="assistant", content="skip", learn=False)  # type: ignore[arg-type]
    turns = [
        user(first, "one?"),
        assistant("red"),
        user("two?"),
        unlearned,
        user(second, "three?"),
        assistant("blue"),
        user("all?"),
    ]
    example = make_example(turns, "both", family="f", template="t")

    def learned(**data: str) -> list[str]:
        (row,) = vision_rows.encode([example], processor, Data(**data), dataset)  # type: ignore[arg-type]
        ids = [label if label != IGNORED else None for label in row.tokens.labels]
        text = "".join("|" if token is None else processor.tokenizer.decode([token]) for token in ids)
        assert [a for a, b in zip(row.tokens.input_ids, ids, strict=True) if b is not None and a != b] == []
        return [part.strip().removesuffix("<end_of_utterance>").strip() for part in text.split("|") if part]

    assert learned() == ["red", "blue", "both"]
    assert learned(loss_turns="last") == ["both"]


def test_a_mark_of_a_picture_in_plain_text_is_a_sentence(workspace: Workspace) -> None:
    dataset = picture_dataset(workspace, rows=1)
    (example,) = dataset.examples("train")
    marked = example.model_copy(update={"target": "see <image>"})
    with pytest.raises(DataError, match="1 of 2 rows have <image> in their text"):
        vision_rows.encode([example, marked], tiny_processor("SmolVLM"), Data(), dataset)


def test_answers_that_are_labelled_as_bad_are_not_learned_from_pictures(workspace: Workspace) -> None:
    dataset = picture_dataset(workspace, rows=1)
    (example,) = dataset.examples("train")
    bad = example.model_copy(update={"label": False})
    with pytest.raises(DataError, match=r"1 of 2 rows hold an answer that is labelled as bad.*Import the good ones"):
        vision_rows.encode([example, bad], tiny_processor("SmolVLM"), Data(), dataset)
