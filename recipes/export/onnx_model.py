"""A tuned text model or Whisper as ONNX, float32 and int8, for onnxruntime, transformers.js and what is built on them.

    smolstudio export RUN --to onnx -o folder

The graphs lie in `onnx/` under the names that transformers.js and optimum look for: `model.onnx` of a text model,
`encoder_model.onnx` and `decoder_model_merged.onnx` of a Whisper, each with a key-value cache and free batch; `_int8`
beside each has its matrix products in eight bits. Configuration and tokenizer are beside the folder. It is for classes
with ordinary attention, whose weights as float32 fit into one ONNX file. Needs `onnx`, `onnxruntime` and `onnxscript`
(extra `export`).
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recipes.export import gguf_model, merged, onnx_graphs, onnx_runtime
from recipes.export.exporter import Artefact, Exporter, Tuned, merged_from
from recipes.models import loading
from recipes.models.files import ModelRef
from synth.errors import ModelError, StorageError, first_line
from synth.storage import read_json, storage_faults, write_json

if TYPE_CHECKING:
    from recipes.models.loaded import Loaded

TEXT = ("granite", "llama", "qwen3", "smollm3")  # plain attention in every layer
SPEECH = ("whisper",)
KINDS = {"float32": "", "int8": "_int8"}  # -> what is added to a file's name
GRAPHS, ENCODER, DECODER = "onnx", "encoder_model", "decoder_model_merged"
LARGEST_BYTES = 1_900_000_000  # of a graph: protobuf ends at 2 GB
PIPELINES = {"audio": "automatic-speech-recognition"}  # of transformers.js, by modality
MOVING = ("dynamic", "longrope")  # positions whose scale depends on the length of the text


def supports(ref: ModelRef) -> str:
    """Why a base cannot be exported; nothing when it can."""
    config = read_json(ref.path / "config.json")
    kind = config.get("model_type")
    if kind not in (*TEXT, *SPEECH):
        return f"it is of class {kind}, and only {', '.join((*TEXT, *SPEECH))} are written as ONNX."
    if missing := onnx_runtime.lacking():
        return f'this installation lacks {", ".join(missing)} (pip install "smolstudio[export]").'
    if why := merged.supports(ref):
        return why
    if config.get("sliding_window") and config.get("use_sliding_window", True):
        return "its attention looks at a window only, which the graph would not repeat."
    rope = config.get("rope_parameters") or config.get("rope_scaling") or {}
    if rope.get("rope_type", "default") in MOVING:
        return f"its positions are scaled by the length of the text ({rope['rope_type']})."
    needed = 4 * merged.stored_weights(ref.path)[1]
    if needed > LARGEST_BYTES:
        return f"its weights take {needed / 1e9:.1f} GB as float32, and one ONNX file holds 1.9."
    return ""


def is_speech(ref: ModelRef) -> bool:
    """Whether it has an encoder that listens."""
    return read_json(ref.path / "config.json").get("model_type") in SPEECH


def size(tuned: Tuned) -> int:
    """Bytes of both: four and one a weight, and an embedding that stays as it is beside its copy in the head."""
    return 7 * merged.stored_weights(tuned.ref.path)[1]


def write(tuned: Tuned, folder: Path, name: str) -> str:
    """Graphs of both kinds, configuration and tokenizer. Raises ModelError where torch or onnxruntime cannot."""
    import torch

    loaded = loading.load_for_inference(tuned.ref, tuned.adapter, torch.float32)
    write_graphs(loaded, folder / GRAPHS)
    loaded.model.config.save_pretrained(folder)
    loaded.processor.save_pretrained(folder)
    if is_speech(tuned.ref):
        # transformers keeps them inside processor_config.json; transformers.js reads them from a file of their own.
        features = read_json(folder / "processor_config.json")["feature_extractor"]
        write_json(folder / "preprocessor_config.json", features)
    elif template := loaded.tokenizer.chat_template:
        # transformers keeps it in a file of its own; transformers.js reads it from here.
        settings = folder / "tokenizer_config.json"
        write_json(settings, {**read_json(settings), "chat_template": gguf_model.plain_template(template)})
    write_json(folder / "generation_config.json", generation(loaded))
    return "+".join(KINDS)


def write_graphs(loaded: Loaded, folder: Path) -> None:
    """The graphs of a model in a new folder."""
    folder.mkdir()
    quantise = onnx_graphs.quantise if is_speech(loaded.info.ref) else onnx_graphs.quantise_in_blocks
    for part, graph in graphs(loaded).items():
        whole = folder / f"{part}.onnx"
        try:
            with storage_faults(folder):
                onnx_graphs.write(graph, whole)
                quantise(whole, folder / f"{part}{KINDS['int8']}.onnx")
        except (MemoryError, StorageError):
            raise
        except Exception as error:  # the exporter raises what its many parts raise
            message = f"{loaded.info.ref.name} cannot be written as ONNX: {first_line(error)}"
            raise ModelError(message, "Export to another target.", "export.base") from error


def graphs(loaded: Loaded) -> dict[str, onnx_graphs.Graph]:
    """Name of its file -> graph."""
    if is_speech(loaded.info.ref):
        encoder, decoder = onnx_graphs.speech_graphs(loaded.model)
        return {ENCODER: encoder, DECODER: decoder}
    return {"model": onnx_graphs.text_graph(loaded.model)}


def generation(loaded: Loaded) -> dict[str, Any]:
    """The model's settings for answers, with every token that ends one and all that a transcript never has."""
    found: dict[str, Any] = loaded.model.generation_config.to_diff_dict()
    if not is_speech(loaded.info.ref):
        from recipes.decode.decoder import end_ids

        return {**found, "eos_token_id": sorted(end_ids(loaded))}
    from recipes.audio.whisper import Whisper

    return {**found, **Whisper(loaded).forbidden()}


def rules(folder: Path) -> onnx_runtime.Rules:
    """How the model of an export's folder answers, as its files say."""
    said, config = (read_json(folder / f"{name}.json") for name in ("generation_config", "config"))
    ends = said["eos_token_id"]
    return onnx_runtime.Rules(
        frozenset(ends if isinstance(ends, list) else [ends]),
        int(config.get("max_target_positions") or config["max_position_embeddings"]),
        tuple(said.get("suppress_tokens") or ()),
        tuple(said.get("begin_suppress_tokens") or ()),
    )


def artefacts(tuned: Tuned, folder: Path) -> list[Artefact]:
    """Both kinds, as onnxruntime answers with them."""
    tokenizer = loading.load_processor(tuned.ref)
    tokenizer = getattr(tokenizer, "tokenizer", tokenizer)
    found = []
    for kind, ending in KINDS.items():
        if is_speech(tuned.ref):
            encoder, decoder = (folder / GRAPHS / f"{part}{ending}.onnx" for part in (ENCODER, DECODER))
            ask = functools.partial(onnx_runtime.speech_opened, encoder, decoder, rules(folder), tokenizer)
            files: tuple[Path, ...] = (encoder, decoder)
        else:
            file = folder / GRAPHS / f"model{ending}.onnx"
            ask = functools.partial(onnx_runtime.text_opened, file, rules(folder), tokenizer)
            files = (file,)
        runtime, holds = onnx_runtime.version(), not is_speech(tuned.ref)
        found.append(Artefact(kind, kind == "float32", runtime, opened=ask, files=files, holds=holds))
    return found


def card(name: str, facts: dict[str, Any]) -> str:
    """The model card as Markdown."""
    task = PIPELINES.get(facts["modality"], "text-generation")
    if facts["modality"] == "audio":
        ask = "const { text } = await model(samples); // Float32Array, 16,000 a second, one channel\n"
    else:
        ask = (
            'const chat = [{ role: "user", content: "…" }];\n'
            "const [reply] = await model(chat, { max_new_tokens: 512, do_sample: false });\n"
            "console.log(reply.generated_text.at(-1).content);\n"
        )
    return (
        f"---\nbase_model: {facts['base_model']}\nlibrary_name: transformers.js\n---\n\n# {name}\n\n"
        f"{merged_from(facts)}, as ONNX, written on {facts['created']} by smolstudio. `{GRAPHS}/*.onnx` are float32, "
        "`*_int8.onnx` have their matrix products in eight bits.\n\n"
        '```js\nimport { env, pipeline } from "@huggingface/transformers";\n\n'
        f'env.localModelPath = "./"; // the folder that {name} lies in\n'
        "env.allowRemoteModels = false; // else a name that is not found there is looked for on the hub\n"
        f'const model = await pipeline("{task}", "{name}", {{ dtype: "int8" }});\n{ask}```\n\n'
        "Answers are to be greedy, as the report measured them; `generation_config.json` names what ends one.\n"
    )


EXPORTER = Exporter(
    "onnx", "float32 and int8, for onnxruntime and transformers.js", supports, size, write, card, artefacts
)
