"""Vision rows for training and answering: pictures of a row, its text with image tokens, and the collators.

The model's own processor decides how many image tokens a picture takes (resizing and splitting included), so nothing
here depends on a model's class. Rows are tokenised once; pixels are read from disk and processed batch by batch and
never kept, so that ten thousand pictures need no memory. Rows are never cut. The batches equal those of TRL's vision
collators (a test compares them). Nothing here trains or scores.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from recipes.recipe.options import Data
from recipes.text.chat import control_tokens, refuse_unlearnable
from recipes.train.report import keep_picture
from recipes.train.rows import IGNORED, TokenRow, check_examples, refuse_endless, target_text
from synth.dataset import DatasetDir
from synth.errors import DataError, ModelError
from synth.example import Example, ImagePart, Message, media_parts

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import Tensor

ROWS_AT_ONCE = 32
NOT_FOR_THE_MODEL = ("rows", "cols", "row_col_info", "image_rows", "image_cols", "image_sizes", "num_patches")
# What some templates (Qwen3.5) open an answer with, and leave out of earlier turns.
NO_THOUGHT = re.compile(r"<think>\s*</think>\s*\Z")
MOST_PATCHES_A_TOKEN = 4  # classes of dynamic resolution merge 2 x 2 patches into a token


class VisionRow(NamedTuple):
    """A row as tokens, image tokens expanded, with the files of its pictures in order."""

    tokens: TokenRow
    pictures: tuple[str, ...]


def picture_files(example: Example, dataset: DatasetDir | None) -> tuple[str, ...]:
    """The row's pictures as paths. Raises DataError for other media, and for references that leave the dataset."""
    if any(not isinstance(part, ImagePart) for part in media_parts(example)):
        raise DataError(f"Row {example.id} has a recording, which a vision model cannot read.", "Remove the row.")
    return message_files(example.prompt, None if dataset is None else dataset.path)


def message_files(messages: Iterable[Message], root: Path | None) -> tuple[str, ...]:
    """The pictures of messages as paths below `root`.

    Replay rows' lie in `recipes.starters.scratch`. Raises DataError for references that lead elsewhere.
    """
    from recipes.starters.scratch import media_file

    parts = [part for message in messages for part in message.content if isinstance(part, ImagePart)]
    return tuple(str(media_file(root, part.path, "picture")) for part in parts)


def open_picture(path: str) -> Image:
    """The decoded picture, RGB. Raises DataError for one that is broken or too large."""
    from synth.importing.images import read_image

    picture: Image = read_image(Path(path))
    return picture


def chat(messages: Iterable[Message]) -> list[dict[str, Any]]:
    """Messages in the form that vision chat templates take: every content a list of parts."""
    return [
        {
            "role": message.role,
            "content": [
                {"type": "image"}
                if isinstance(part, ImagePart)
                else {"type": "text", "text": getattr(part, "text", "")}
                for part in message.content
            ],
        }
        for message in messages
    ]


def reply(text: str) -> dict[str, Any]:
    """An assistant's turn in the same form."""
    return {"role": "assistant", "content": [{"type": "text", "text": text}]}


def prompt_text(messages: list[dict[str, Any]], processor: Any) -> str:
    """The prompt as text with one placeholder per picture, up to where the answer begins."""
    return str(processor.apply_chat_template(messages, add_generation_prompt=True, tokenize=False))


def completion_text(messages: list[dict[str, Any]], target: str, processor: Any) -> str:
    """What the template puts after the prompt for this answer, up to the token that ends the turn."""
    prompt = prompt_text(messages, processor)
    full = str(processor.apply_chat_template([*messages, reply(target)], tokenize=False))
    end = str(processor.tokenizer.eos_token)
    if not full.startswith(prompt):
        return target + end
    head, _, _ = full[len(prompt) :].partition(end)
    return head + end


def encode_prompts(prompts: Sequence[str], pictures: Sequence[tuple[str, ...]], processor: Any) -> list[list[int]]:
    """Token ids of prompts, each placeholder replaced by the image tokens that the processor wants for its picture."""
    ids: list[list[int]] = []
    for start in range(0, len(prompts), ROWS_AT_ONCE):
        texts = list(prompts[start : start + ROWS_AT_ONCE])
        files = pictures[start : start + ROWS_AT_ONCE]
        images = [[open_picture(file) for file in row] for row in files] if any(files) else None
        made = processor(text=texts, images=images, add_special_tokens=False, padding=False)
        ids += [list(row) for row in made["input_ids"]]
    return ids


def encode(examples: Sequence[Example], processor: Any, data: Data, dataset: DatasetDir | None) -> list[VisionRow]:
    """Token rows of `examples`, in order and uncut. Raises DataError when there is nothing to encode."""
    check_examples(examples)
    refuse_endless(processor.tokenizer)
    for mark in (str(getattr(processor, "image_token", "<image>")), *control_tokens(processor.tokenizer)):
        _refuse_marks(examples, mark)
    chats = [chat(e.prompt) for e in examples]
    pictures = [picture_files(e, dataset) for e in examples]
    heads = encode_prompts([prompt_text(c, processor) for c in chats], pictures, processor)
    targets = [completion_text(c, target_text(e, data.target), processor) for c, e in zip(chats, examples, strict=True)]
    tails = processor.tokenizer(targets, add_special_tokens=False)["input_ids"]
    every_turn = data.loss_turns == "all" and data.target == "target"
    masked = [
        _labels(e, head, files, processor) if every_turn else [IGNORED] * len(head)
        for e, head, files in zip(examples, heads, pictures, strict=True)
    ]
    return [
        VisionRow(TokenRow(head + tail, labels + tail), files)
        for head, labels, tail, files in zip(heads, masked, tails, pictures, strict=True)
    ]


def _refuse_marks(examples: Sequence[Example], mark: str) -> None:
    """Raise DataError for text that the processor would take for a picture, or for the end of a turn."""
    marked = [e for e in examples if mark in e.target or any(mark in message.text for message in e.prompt)]
    if marked:
        sentence = f"{len(marked)} of {len(examples)} rows have {mark} in their text (first: {marked[0].id})."
        remedy = "It is a mark of the model's own: import rows with their pictures, or take the mark out of the text."
        raise DataError(sentence, remedy, "data.image_mark")


def _labels(example: Example, head: list[int], pictures: tuple[str, ...], processor: Any) -> list[int]:
    """The prompt's labels: what the assistant said in it, each with the end of its turn, unless marked otherwise.

    Where a turn begins and ends in tokens is found by encoding what stands before. Raises ModelError where the template
    renders that differently.
    """
    refuse_unlearnable(example)
    labels, turns, end = [IGNORED] * len(head), chat(example.prompt), str(processor.tokenizer.eos_token)
    text = prompt_text(turns, processor)
    for place, message in enumerate(example.prompt):
        if message.role != "assistant" or message.learn is False:
            continue
        before, said = prompt_text(turns[:place], processor), message.text.strip()
        if not text.startswith(before):
            before = NO_THOUGHT.sub("", before)
        begin = text.find(said, len(before)) if text.startswith(before) else -1
        stop = text.find(end, begin + len(said)) + len(end) if begin >= 0 else 0
        shown = sum(isinstance(part, ImagePart) for turn in example.prompt[:place] for part in turn.content)
        parts = [text[: len(before)], text[:stop]]
        start_ids, stop_ids = (
            encode_prompts(parts, [pictures[:shown]] * 2, processor) if 0 <= begin < stop else ([], [])
        )
        if not stop_ids or head[: len(stop_ids)] != stop_ids or stop_ids[: len(start_ids)] != start_ids:
            fault = f"The chat template does not show where the answers of earlier turns are (row {example.id})."
            raise ModelError(fault, "Set data.loss_turns to last.", "model.template")
        labels[len(start_ids) : len(stop_ids)] = stop_ids[len(start_ids) :]
    return labels


def pixels(pictures: Sequence[Sequence[str]], processor: Any) -> dict[str, Tensor]:
    """The processor's tensors for the pictures of some rows; rows with fewer tiles are padded with empty ones."""
    if not any(pictures):
        return {}
    made = processor.image_processor([[open_picture(file) for file in row] for row in pictures], return_tensors="pt")
    return {name: value for name, value in made.items() if name not in NOT_FOR_THE_MODEL}


def longest_attention(lengths: Sequence[int], model: Any) -> int:
    """The longest sequence that any attention of the model sees: a row, or the patches of one tile or picture."""
    tower = model.config.vision_config
    side, patch = (first(getattr(tower, name, None)) for name in ("image_size", "patch_size"))
    patches = (side // patch) ** 2 if side and patch else MOST_PATCHES_A_TOKEN * max(lengths)
    return int(max(*lengths, patches))


def first(size: Any) -> Any:
    """A side's length, which some classes give as [height, width]."""
    return size[0] if isinstance(size, (list, tuple)) else size


def kinds(ids: Tensor, tensors: dict[str, Tensor], processor: Any) -> dict[str, Tensor]:
    """Which tokens are of a picture, for classes whose pictures have a grid of positions (M-RoPE); else nothing."""
    if "image_grid_thw" not in tensors:
        return {}
    return {"mm_token_type_ids": (ids == processor.image_token_id).long()}


def padded(rows: Sequence[Sequence[int]], filler: int) -> Tensor:
    """(B, T) int64 for the longest of T tokens, filled on the right, where a causal model never looks."""
    import torch

    longest = max(len(row) for row in rows)
    return torch.tensor([[*row, *[filler] * (longest - len(row))] for row in rows])


class Collator:
    """Batches of supervised rows: input_ids, attention_mask, labels and the processor's pixel tensors."""

    def __init__(self, processor: Any) -> None:
        self.processor = processor

    def __call__(self, rows: Sequence[dict[str, Any]]) -> dict[str, Tensor]:
        ids = [row["input_ids"] for row in rows]
        found = pixels([row["pictures"] for row in rows], self.processor)
        tokens = padded(ids, self.processor.tokenizer.pad_token_id)
        return {
            "input_ids": tokens,
            "attention_mask": padded([[1] * len(row) for row in ids], 0),
            "labels": padded([row["labels"] for row in rows], IGNORED),
            **found,
            **kinds(tokens, found, self.processor),
        }


class PairCollator:
    """Batches of preference pairs in TRL's order: all chosen answers, then all rejected ones, pictures twice."""

    def __init__(self, processor: Any) -> None:
        self.processor = processor

    def __call__(self, rows: Sequence[dict[str, Any]]) -> dict[str, Tensor]:
        import torch

        sides = [(row["prompt_ids"], row[side]) for side in ("chosen_ids", "rejected_ids") for row in rows]
        ids = [prompt + answer for prompt, answer in sides]
        found = pixels([row["pictures"] for row in rows], self.processor)
        tokens = padded(ids, self.processor.tokenizer.pad_token_id)
        batch = {
            "input_ids": tokens,
            "attention_mask": padded([[1] * len(row) for row in ids], 0),
            "completion_mask": padded([[0] * len(prompt) + [1] * len(answer) for prompt, answer in sides], 0),
            **{name: torch.cat([value, value]) for name, value in found.items()},
            **kinds(tokens, found, self.processor),
        }
        for name in ("ref_chosen_logps", "ref_rejected_logps"):
            if name in rows[0]:
                batch[name] = torch.tensor([row[name] for row in rows])
        return batch


def problems(rows: Sequence[VisionRow], model: Any, processor: Any) -> list[str]:
    """Rows whose image tokens do not match what the model makes of their pictures; tried on the longest and first few.

    The features are counted, not assumed: the model's own tower and connector run on the pictures.
    """
    import torch

    token = getattr(model.config, "image_token_id", None)
    network = model.get_base_model() if hasattr(model, "get_base_model") else model
    shown = [row for row in rows if row.pictures]
    if not shown:
        return ["No row has a picture, so there is nothing to see: choose a text method, or check the dataset."]
    if token is None or not hasattr(network.model, "get_image_features"):
        return []
    tried = [max(shown, key=lambda row: len(row.tokens.input_ids)), *shown[:3]]
    for row in tried:
        tensors = {name: value.to(network.device) for name, value in pixels([row.pictures], processor).items()}
        with (
            torch.no_grad(),
            torch.autocast(network.device.type, torch.bfloat16, enabled=network.dtype != torch.float32),
        ):
            features = network.model.get_image_features(**tensors, return_dict=True).pooler_output
        made, wanted = sum(len(part) for part in features), row.tokens.input_ids.count(token)
        if made != wanted:
            return [
                f"A row has {wanted} image tokens, but the model makes {made} features of its picture: the processor "
                "and the model do not belong together."
            ]
    return []


def template_view(processor: Any) -> Any:
    """The processor as `preflight.check_template` takes a tokenizer."""

    class View:
        chat_template = getattr(processor, "chat_template", None) or processor.tokenizer.chat_template
        eos_token = processor.tokenizer.eos_token

        @staticmethod
        def apply_chat_template(messages: list[dict[str, Any]], **how: Any) -> str:
            whole = [m if isinstance(m["content"], list) else reply(m["content"]) for m in messages]
            return str(processor.apply_chat_template(whole, **how))

    return View


def as_seen(row: VisionRow, processor: Any) -> Image | None:
    """The row's first picture as the model gets it, after resizing and splitting: a PIL image, tiles side by side.

    None for classes that take a picture as a list of patches, which is no picture any more.
    """
    import numpy as np
    import PIL.Image

    made = processor.image_processor([[open_picture(row.pictures[0])]], return_tensors="np")["pixel_values"]
    if made.ndim < 4:
        return None
    tiles = made.reshape(-1, *made.shape[-3:])
    mean, std = (np.array(getattr(processor.image_processor, name)) for name in ("image_mean", "image_std"))
    shown = [np.clip((tile.transpose(1, 2, 0) * std + mean) * 255, 0, 255).astype(np.uint8) for tile in tiles]
    height, width = shown[0].shape[:2]
    columns = min(len(shown), 4)
    sheet = PIL.Image.new("RGB", (columns * (width + 4), -(-len(shown) // columns) * (height + 4)), "magenta")
    for number, tile in enumerate(shown):
        sheet.paste(
            PIL.Image.fromarray(tile), (number % columns * (width + 4) + 2, number // columns * (height + 4) + 2)
        )
    return sheet


def show(rows: Sequence[VisionRow], processor: Any, folder: Path) -> str | None:
    """Write the first picture as the model sees it into `folder`; the file's name, None when no row has one."""
    shown = next((row for row in rows if row.pictures), None)
    seen = as_seen(shown, processor) if shown else None
    return keep_picture(seen, folder) if seen else None


Decode = Callable[[Sequence[int]], str]


def short_decode(processor: Any) -> Decode:
    """A decoder for people: a run of image tokens is written once, with its length."""
    tokenizer = processor.tokenizer
    image = getattr(processor, "image_token_id", None) or getattr(tokenizer, "image_token_id", None)

    def decode(ids: Sequence[int]) -> str:
        text, run = "", 0
        plain: list[int] = []
        for token in [*ids, None]:
            if token == image and token is not None:
                run += 1
                continue
            if run:
                text += tokenizer.decode(plain) + f"<image x {run}>"
                plain, run = [], 0
            if token is not None:
                plain.append(token)
        return text + str(tokenizer.decode(plain))

    return decode
