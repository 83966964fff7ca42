"""A tuned model as a static web page that answers without a server: text in llama.cpp, Whisper in onnxruntime.

    smolstudio export RUN --to web -o page && python -m http.server -d page

The page asks for nothing outside its folder (its content security policy forbids it) and needs no special headers.
What it holds is made by `recipes.export.web_text` and `web_speech`.
"""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

from recipes.export import onnx_model, web_speech, web_text
from recipes.export.exporter import Artefact, Exporter, Tuned, merged_from
from recipes.models.files import ModelRef
from synth.storage import JsonDict


def _maker(ref: ModelRef) -> ModuleType:
    return web_speech if onnx_model.is_speech(ref) else web_text


def supports(ref: ModelRef) -> str:
    """Why a base cannot be in a page; nothing when it can."""
    return str(_maker(ref).supports(ref))


def size(tuned: Tuned) -> int:
    """Bytes of the page, the model and the runtime."""
    return int(_maker(tuned.ref).size(tuned))


def write(tuned: Tuned, folder: Path, name: str) -> str:
    """Write the page. Raises ModelError, also when its runtime cannot be fetched."""
    return str(_maker(tuned.ref).write(tuned, folder, name))


def artefacts(tuned: Tuned, folder: Path) -> list[Artefact]:
    """The page's model as its runtime answers with it outside a browser."""
    return list(_maker(tuned.ref).artefacts(tuned, folder))


def card(name: str, facts: JsonDict) -> str:
    """The card as Markdown."""
    page: ModuleType = web_speech if facts["dtype"] == web_speech.KIND else web_text
    return (
        f"# {name}\n\n{merged_from(facts)}, as a web page, written on {facts['created']} by smolstudio. Serve the "
        f"folder from any static server and open it:\n\n```\npython -m http.server -d {name}\n```\n\n"
        f"{page.DOES} One thread is used unless the server sends `Cross-Origin-Opener-Policy: same-origin` and "
        f"`Cross-Origin-Embedder-Policy: require-corp`. The runtime is {page.RUNTIME.name} {page.RUNTIME.version} "
        f"(MIT, `{page.LICENCE}`).\n"
    )


EXPORTER = Exporter("web", "a static page that answers offline in the browser", supports, size, write, card, artefacts)
