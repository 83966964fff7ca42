"""The exported page of a Whisper in a real Chromium, its server gone after loading: it answers as the model does."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import soundfile

from recipes.audio.backends import audio_backend
from recipes.export import npm, targets, web_speech
from recipes.models.loading import load_for_inference
from recipes.recipe.schema import load_recipe
from recipes.run.directory import Run
from synth.audio.files import read_audio
from synth.audio.pauses import cut_at_pauses
from synth.build import build_dataset
from synth.errors import ModelError
from synth.example import media_parts
from synth.scoring.speech import edit_count
from synth.workspace import Workspace
from tests.browser.conftest import FLAGS
from tests.browser.static import opened, served
from tests.tiny_runs import nudged

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(900)]
HZ = 16_000


class Page(NamedTuple):
    folder: Path
    recordings: list[Path]
    exported: list[str]  # what the page's graphs answer in onnxruntime here


@pytest.fixture(scope="module")
def spoken(tmp_path_factory: pytest.TempPathFactory) -> Page:
    """The page of a starter, three recordings, and all of them in one with pauses between."""
    place = Workspace(tmp_path_factory.mktemp("speech"))
    counts = {"train": 8, "val": 0, "test": 3, "test_ood": 0, "silence_share": 0}
    data = build_dataset("audio", counts, "ward", place)
    recipe = {"method": "audio_sft", "base_model": "starter-audio-large", "data": {"dataset": "ward"}}
    run = Run.create(place, load_recipe(recipe), "run-1")
    nudged(recipe, run)
    out = place.path / "page"
    try:
        targets.export_run("run-1", place.runs, out, "web")
    except ModelError as error:
        if error.code == npm.CODE:
            pytest.skip(str(error))
        raise
    rows = list(data.examples("test"))
    waves = [read_audio(data.path / media_parts(row)[0].path) for row in rows]
    gap = np.zeros(HZ // 2, np.float32)
    waves.append(np.concatenate([waves[0], gap, waves[1], gap, waves[2]]))
    files = [place.path / f"{number}.wav" for number in range(len(waves))]
    for file, wave in zip(files, waves, strict=True):
        soundfile.write(file, wave, HZ, subtype="PCM_16")
    found = targets.tuned("run-1", place.runs)
    backend = audio_backend(load_for_inference(found.ref, found.adapter))
    sounds = [backend.prepare(cut_at_pauses(wave, backend.limit_sec), None) for wave in map(read_audio, files)]
    (artefact,) = web_speech.artefacts(found, out)
    assert artefact.opened is not None
    return Page(out, files, [one.text for one in artefact.opened(None)(sounds, 90)])


def transcribed(page: Any) -> str:
    page.wait_for_selector("#state:text-matches('^(Done|Cut|No)')", timeout=120_000)
    assert page.text_content("#state") == "Done."
    return str(page.input_value("#text"))


def test_the_page_transcribes_files_without_a_network_as_onnxruntime_does(browser: Any, spoken: Page) -> None:
    with served(spoken.folder) as url:
        page = opened(browser, f"{url}/index.html", "#file")
        print(page.text_content("#state"), sum(file.stat().st_size for file in spoken.folder.rglob("*")), "bytes")
    texts = []
    for file in spoken.recordings:
        page.set_input_files("#file", file)
        texts.append(transcribed(page))
        print(page.text_content("#speed"), texts[-1])
    # Eight-bit products are rounded otherwise in WebAssembly, which now and then turns a near tie between two tokens.
    # The last recording is longer than the model listens to, and is cut at its pauses.
    for text, exported in zip(texts, spoken.exported, strict=True):
        edits, words = edit_count(exported, text, by_words=True)
        assert edits <= 0.2 * words
    assert sum(text == exported for text, exported in zip(texts, spoken.exported, strict=True)) >= 3
    assert all(address.startswith((url, "blob:", "data:")) for address in page.fetched)
    assert page.complaints == []
    assert page.evaluate("document.documentElement.scrollWidth <= 390")  # a phone
    page.context.close()


def test_the_page_may_ask_no_other_server_and_names_a_file_that_is_no_sound(
    browser: Any, spoken: Page, tmp_path: Path
) -> None:
    with served(spoken.folder) as url, served(tmp_path) as other:
        page = opened(browser, f"{url}/index.html", "#file")
        page.context.set_offline(False)
        reached = f"fetch('{other}/').then(() => 'reached', () => 'refused')"
        assert page.evaluate(reached) == "refused"
        (tmp_path / "notes.wav").write_text("no sound")
        page.set_input_files("#file", tmp_path / "notes.wav")
        page.wait_for_selector("#state:text-is('No transcript: the browser cannot read this file as sound.')")
        page.context.close()


def test_what_is_dictated_is_transcribed(browser: Any, spoken: Page) -> None:
    heard = f"--use-file-for-fake-audio-capture={spoken.recordings[0]}"
    fake = ["--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream", heard]
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    listening = browser.browser_type.launch(executable_path=chromium, args=[*FLAGS, *fake])
    with served(spoken.folder) as url:
        page = opened(listening, f"{url}/index.html", "#record")
        page.click("#record")
        page.wait_for_selector("#state:text-is('Listening …')")
        page.wait_for_timeout(3000)
        page.click("#stop")
        assert transcribed(page)
        assert page.is_visible("#record") and page.complaints == []
    listening.close()
