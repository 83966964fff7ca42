"""Pairs for preference tuning of a speech model: the true transcript against the model's own wrong hypothesis.

Mines them with `recipes.preference` where the dataset has none. It trains nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from recipes import audio_answers, audio_rows, models, preference
from recipes.recipe import Recipe
from recipes.run import Run
from synth.dataset import DatasetDir
from synth.errors import RunError
from synth.example import Example
from synth.progress import Progress

PAIRS = "pairs"
PROMPTS_TRIED = 2000  # at most, when pairs are mined


def pair_dataset(run: Run, recipe: Recipe) -> DatasetDir:
    """The dataset itself when it has rejected transcripts, else pairs mined for this run."""
    dataset = run.dataset()
    if any(example.rejected is not None for example in islice(dataset.examples(recipe.data.train_split), 100)):
        return dataset
    folder = run.path / PAIRS
    if folder.is_dir():
        mined = DatasetDir(folder)
        if faults := mined.verify():
            raise RunError(f"The pairs of {run.id} changed: {'; '.join(faults)}.", "Start a new run.", "run.changed")
        return mined
    return mine(run, recipe, dataset, folder)


def mine(run: Run, recipe: Recipe, dataset: DatasetDir, folder: Path) -> DatasetDir:
    """Let the model to be tuned transcribe the dataset, unseen rows first, and write the pairs in `folder`.

    Rows without speech give no pairs: a preference needs words on both sides.
    """
    run.emit("phase", name="mining")
    splits = dict.fromkeys(("val", recipe.data.train_split))
    spoken = (e for split in splits for e in dataset.examples(split) if e.target.strip())
    rows = list(islice(spoken, PROMPTS_TRIED))
    loaded = models.load_for_inference(
        models.resolve(recipe.base_model, recipe.revision), recipe.adapter, runs=run.workspace.runs
    )
    seconds = window(recipe, run, rows, dataset, loaded.processor)
    audio_rows.shorten(loaded.model, loaded.processor, seconds)

    def tell(progress: Progress) -> None:
        run.emit("mining", done=progress.done, total=progress.total, note=progress.note)

    pairs = preference.mine_pairs(
        rows,
        audio_answers.audio_generator(loaded, dataset, seconds, recipe.dpo.temperature, recipe.seed),
        samples=recipe.dpo.num_generations,
        max_pairs=recipe.dpo.max_pairs,
        on_progress=tell,
    )
    truth = {row.id: row.target for row in rows}
    true = [row.model_copy(update={"target": truth[row.id]}) for row in pairs.rows]
    run.emit("pairs", pairs=len(true), without=pairs.reasons, answers=pairs.answers)
    return preference.write_pairs(folder, pairs._replace(rows=true), dataset)


def window(recipe: Recipe, run: Run, rows: Sequence[Example], dataset: DatasetDir, processor: Any) -> float:
    """Seconds of the window: the adapter's that training starts from, else what the recordings need."""
    if recipe.adapter:
        noted = audio_rows.noted_window(models.find_adapter(recipe.adapter, run.workspace.runs))
        if noted is not None:
            return noted
    return audio_rows.window_seconds([audio_rows.recording(row, dataset) for row in rows], processor)
