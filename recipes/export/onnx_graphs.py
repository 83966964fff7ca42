"""Models as ONNX graphs with a key-value cache, under the names that transformers.js and optimum look for.

    write(text_graph(model), file)
    encoder, decoder = speech_graphs(model)
    write_features(extractor, file)
    quantise(file, file_of_int8)           # a Whisper's
    quantise_in_blocks(file, file_of_int8)  # a language model's

`torch.onnx.export` traces the model of transformers itself; only the masks are made here, so that batches may be padded
on the left and a cache of any length, none included, goes in. Batch, tokens and cache are free axes. Nothing is loaded
or answered here (`recipes.export.onnx_model`, `onnx_runtime`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

OPSET, IR_VERSION = 18, 10  # what runtimes of 2024 and later read
BLOCK = 32  # weights that share a scale
CACHE = "past_key_values"
# Names of free axes; transformers.js fills an empty cache by the name of the first.
BATCH, TOKENS, PAST, TOTAL = "batch_size", "sequence_length", "past_sequence_length", "total_sequence_length"
HEARD = "encoder_hidden_states"


class Port(NamedTuple):
    """An input or output: its name, and the names of its free axes by their place."""

    name: str
    axes: dict[int, str]


class Graph(NamedTuple):
    """What is exported: `forward(network, *sample)` gives a tuple. Free axes of the sample differ in length."""

    network: Any
    forward: Callable[..., tuple[Any, ...]]
    sample: Sequence[Any]
    inputs: Sequence[Port]
    outputs: Sequence[Port]


def text_graph(model: Any) -> Graph:
    """A decoder: input_ids, attention_mask, position_ids and the cache -> the last token's logits and the cache."""
    import torch

    model.set_attn_implementation("eager")
    config = model.config
    size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    layers, heads = int(config.num_hidden_layers), int(config.num_key_value_heads)
    batch, past, tokens = 2, 3, 4  # all different, and none 1: torch would take it for fixed
    cache = [torch.zeros(batch, heads, past, size) for _ in range(2 * layers)]
    sample = [
        torch.zeros(batch, tokens, dtype=torch.long),
        torch.ones(batch, past + tokens, dtype=torch.long),
        torch.arange(past, past + tokens).repeat(batch, 1),
        *cache,
    ]
    inputs = [
        Port("input_ids", {0: BATCH, 1: TOKENS}),
        Port("attention_mask", {0: BATCH, 1: TOTAL}),
        Port("position_ids", {0: BATCH, 1: TOKENS}),
    ]
    names = [f"{layer}.{kind}" for layer in range(layers) for kind in ("key", "value")]
    return Graph(
        model,
        _decode_text,
        sample,
        [*inputs, *(Port(f"{CACHE}.{name}", {0: BATCH, 2: PAST}) for name in names)],
        [Port("logits", {0: BATCH}), *(Port(f"present.{name}", {0: BATCH, 2: TOTAL}) for name in names)],
    )


def _decode_text(model: Any, input_ids: Any, attention_mask: Any, position_ids: Any, *past: Any) -> tuple[Any, ...]:
    import torch
    from transformers import DynamicCache

    cache = DynamicCache()
    for layer in range(len(past) // 2):
        cache.update(past[2 * layer], past[2 * layer + 1], layer)
    tokens, total = input_ids.shape[1], attention_mask.shape[1]
    before = torch.arange(total)[None] <= torch.arange(tokens)[:, None] + (total - tokens)
    seen = before[None, None] & (attention_mask[:, None, None, :] > 0)
    found = model(
        input_ids=input_ids,
        attention_mask=torch.where(seen, 0.0, torch.finfo(torch.float32).min),
        position_ids=position_ids,
        past_key_values=cache,
        use_cache=True,
        logits_to_keep=1,
    )
    return (found.logits, *(tensor for layer in cache.layers for tensor in (layer.keys, layer.values)))


def speech_graphs(model: Any) -> tuple[Graph, Graph]:
    """Whisper's encoder, input_features -> last_hidden_state, and its decoder.

    The decoder takes input_ids, the encoder's states and both caches -> logits and both caches. Keys and values of what
    was heard are made in the first step, where their cache is empty, and read from the cache afterwards.
    """
    import torch

    model.set_attn_implementation("eager")
    config = model.config
    frames, width, heads = 2 * config.max_source_positions, config.d_model, config.decoder_attention_heads
    free = {0: BATCH}
    encoder = Graph(
        model,
        lambda network, features: (network.model.encoder(features).last_hidden_state,),
        [torch.zeros(2, config.num_mel_bins, frames)],
        [Port("input_features", free)],
        [Port("last_hidden_state", free)],
    )
    batch, past, tokens, heard, known = 2, 3, 4, 5, 6
    layers = range(config.decoder_layers)
    names = [f"{n}.{side}.{kind}" for n in layers for side in ("decoder", "encoder") for kind in ("key", "value")]
    lengths = [past if ".decoder." in name else known for name in names]
    cache = [torch.zeros(batch, heads, length, width // heads) for length in lengths]
    axes = [PAST if ".decoder." in name else "heard_before" for name in names]
    after = [TOTAL if ".decoder." in name else "heard" for name in names]
    decoder = Graph(
        model,
        _decode_speech,
        [torch.zeros(batch, tokens, dtype=torch.long), torch.zeros(batch, heard, width), *cache],
        [
            Port("input_ids", {0: BATCH, 1: TOKENS}),
            Port(HEARD, {0: BATCH, 1: "heard"}),
            *(Port(f"{CACHE}.{name}", {0: BATCH, 2: axis}) for name, axis in zip(names, axes, strict=True)),
        ],
        [
            Port("logits", {0: BATCH, 1: TOKENS}),
            *(Port(f"present.{name}", {0: BATCH, 2: axis}) for name, axis in zip(names, after, strict=True)),
        ],
    )
    return encoder, decoder


def _decode_speech(model: Any, input_ids: Any, heard: Any, *past: Any) -> tuple[Any, ...]:
    import torch
    from transformers import DynamicCache, EncoderDecoderCache

    own, cross = DynamicCache(), DynamicCache()
    for layer in range(len(past) // 4):
        own.update(past[4 * layer], past[4 * layer + 1], layer)
        cross.update(past[4 * layer + 2], past[4 * layer + 3], layer)
    cache = EncoderDecoderCache(own, cross)
    cache.is_updated = dict.fromkeys(cache.is_updated, False)  # so that what is heard now is added to the cache
    rows, tokens, before = input_ids.shape[0], input_ids.shape[1], past[0].shape[2]
    places = torch.arange(tokens) + before
    seen = torch.arange(before + tokens)[None] <= places[:, None]
    mask = torch.where(seen, 0.0, torch.finfo(torch.float32).min)[None, None]
    states = model.model.decoder(
        input_ids=input_ids,
        attention_mask=mask.expand(rows, 1, tokens, before + tokens),
        encoder_hidden_states=heard,
        past_key_values=cache,
        position_ids=places[None].expand(rows, tokens),
        use_cache=True,
    ).last_hidden_state
    layers = zip(own.layers, cross.layers, strict=True)
    return (model.proj_out(states), *(t for a, b in layers for t in (a.keys, a.values, b.keys, b.values)))


def write_features(extractor: Any, file: Path) -> None:
    """Whisper's feature extractor: waveform (1, samples of a window) -> input_features, its log-mel spectrogram."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    size, hop, bins = int(extractor.n_fft), int(extractor.hop_length), int(extractor.n_fft) // 2 + 1
    angles = 2 * np.pi / size * np.outer(np.arange(bins), np.arange(size))
    window = 0.5 - 0.5 * np.cos(2 * np.pi / size * np.arange(size))  # Hann's
    constants = {
        "waves": (np.concatenate([np.cos(angles), np.sin(angles)]) * window)[:, None].astype(np.float32),
        "filters": extractor.mel_filters.T.astype(np.float32),  # (mel bands, bins)
        **{name: np.array([number], np.int64) for name, number in (("zero", 0), ("one", 1), ("two", 2), ("last", -1))},
        "edges": np.array([0, 0, size // 2, 0, 0, size // 2], np.int64),
        "halves": np.array([bins, bins], np.int64),
        "both": np.array([1, 2], np.int64),
        "least": np.array(1e-10, np.float32),
        "decade": np.array(1 / np.log(10), np.float32),
        "range": np.array(8, np.float32),
        "four": np.array(4, np.float32),
    }
    steps: list[tuple[str, list[str], list[str], dict[str, Any]]] = [
        ("Unsqueeze", ["waveform", "one"], ["channel"], {}),
        ("Pad", ["channel", "edges"], ["padded"], {"mode": "reflect"}),
        ("Conv", ["padded", "waves"], ["whole"], {"strides": [hop]}),  # a Fourier transform of each frame
        ("Slice", ["whole", "zero", "last", "two"], ["frames"], {}),
        ("Mul", ["frames", "frames"], ["squares"], {}),
        ("Split", ["squares", "halves"], ["real", "imaginary"], {"axis": 1}),
        ("Add", ["real", "imaginary"], ["power"], {}),
        ("MatMul", ["filters", "power"], ["bands"], {}),
        ("Max", ["bands", "least"], ["heard"], {}),
        ("Log", ["heard"], ["log"], {}),
        ("Mul", ["log", "decade"], ["levels"], {}),
        ("ReduceMax", ["levels", "both"], ["loudest"], {"keepdims": 1}),
        ("Sub", ["loudest", "range"], ["floor"], {}),
        ("Max", ["levels", "floor"], ["kept"], {}),
        ("Add", ["kept", "four"], ["raised"], {}),
        ("Div", ["raised", "four"], ["input_features"], {}),
    ]
    samples, frames = int(extractor.n_samples), int(extractor.nb_max_frames)
    bands = len(constants["filters"])
    graph = helper.make_graph(
        [helper.make_node(kind, given, made, **how) for kind, given, made, how in steps],
        "features",
        [helper.make_tensor_value_info("waveform", TensorProto.FLOAT, [1, samples])],
        [helper.make_tensor_value_info("input_features", TensorProto.FLOAT, [1, bands, frames])],
        [numpy_helper.from_array(values, name) for name, values in constants.items()],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
    onnx.save(made, file)


def write(graph: Graph, file: Path) -> None:
    """Export a graph. Raises what torch raises for a model that it cannot trace."""
    import onnx
    import torch

    class Whole(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.network = graph.network

        def forward(self, *inputs: Any) -> tuple[Any, ...]:
            return graph.forward(self.network, *inputs)

    free = tuple(dict.fromkeys(port.axes, torch.export.Dim.DYNAMIC) for port in graph.inputs)
    with torch.no_grad():
        program = torch.onnx.export(
            Whole().eval(),
            tuple(graph.sample),
            dynamo=True,
            dynamic_shapes=(free,),
            input_names=[port.name for port in graph.inputs],
            output_names=[port.name for port in graph.outputs],
            opset_version=OPSET,
            verbose=False,
        )
    assert program is not None
    made = program.model_proto
    del made.graph.value_info[:]  # names of axes that torch made up
    for ports, values in ((graph.inputs, made.graph.input), (graph.outputs, made.graph.output)):
        for port, value in zip(ports, values, strict=True):
            for place, name in port.axes.items():
                value.type.tensor_type.shape.dim[place].dim_param = name
    if any(port.name == HEARD for port in graph.inputs):
        _hear_once(made.graph)
    onnx.save(made, file)


def _hear_once(graph: Any) -> None:
    """Give the decoder what was heard only while its cache holds nothing of it: later steps read it from there."""
    from onnx import TensorProto, helper

    numbers = {"heard.zero": 0, "heard.axis": 1, "heard.all": np.iinfo(np.int64).max}
    for name, number in numbers.items():
        graph.initializer.append(helper.make_tensor(name, TensorProto.INT64, [1], [number]))
    for node in graph.node:
        node.input[:] = ["heard.now" if name == HEARD else name for name in node.input]
    first = [
        helper.make_node("Shape", [f"{CACHE}.0.encoder.key"], ["heard.before"], start=2, end=3),
        helper.make_node("Equal", ["heard.before", "heard.zero"], ["heard.nothing"]),
        helper.make_node("Where", ["heard.nothing", "heard.all", "heard.zero"], ["heard.end"]),
        helper.make_node("Slice", [HEARD, "heard.zero", "heard.end", "heard.axis"], ["heard.now"]),
    ]
    rest = list(graph.node)
    del graph.node[:]
    graph.node.extend([*first, *rest])


def quantise(file: Path, out: Path) -> None:
    """The graph with the weights of its matrix products in eight bits, a scale for each column; inputs as they come."""
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic
    from onnxruntime.quantization.quant_utils import add_pre_process_metadata

    model = onnx.load(file)
    _transpose_weights(model.graph)
    add_pre_process_metadata(model)  # else it warns everyone that this was not done
    quantize_dynamic(model, out, ["MatMul"], per_channel=True, weight_type=QuantType.QInt8)


def quantise_in_blocks(file: Path, out: Path) -> None:
    """The graph with the weights of its matrix products in eight bits, a scale for every BLOCK of a column.

    The runtime rounds what it multiplies with them in the same blocks. Inside language models a few numbers are a
    thousand times the rest, and one scale for all would leave nothing of these.
    """
    import onnx

    model = onnx.load(file)
    graph = model.graph
    _transpose_weights(graph)
    stored = {tensor.name: tensor for tensor in graph.initializer}
    packed: set[str] = set()
    for place, node in enumerate(graph.node):
        if node.op_type != "MatMul" or node.input[1] not in stored:
            continue
        name = node.input[1]
        if name not in packed:
            graph.initializer.extend(_blocks(name, onnx.numpy_helper.to_array(stored[name])))
            packed.add(name)
        width, columns = stored[name].dims
        inputs = [node.input[0], f"{name}.blocks", f"{name}.scales"]
        form = {"K": width, "N": columns, "bits": 8, "block_size": BLOCK, "accuracy_level": 4}  # 4: inputs in 8 bits
        product = onnx.helper.make_node("MatMulNBits", inputs, list(node.output), domain="com.microsoft", **form)
        graph.node[place].CopyFrom(product)
    gone = packed - {name for node in graph.node for name in node.input}
    for place in reversed(range(len(graph.initializer))):
        if graph.initializer[place].name in gone:
            del graph.initializer[place]
    model.opset_import.append(onnx.helper.make_opsetid("com.microsoft", 1))
    onnx.save(model, out)


def _blocks(name: str, weight: Any) -> list[Any]:
    """A weight (in, out) as onnxruntime reads it: uint8 (out, blocks, BLOCK) around 128, and a scale for each block."""
    from onnx import numpy_helper

    width, columns = weight.shape
    padded = np.zeros((columns, -(-width // BLOCK) * BLOCK), np.float32)
    padded[:, :width] = weight.T
    blocks = padded.reshape(columns, -1, BLOCK)
    scales = np.maximum(np.abs(blocks).max(-1), np.finfo(np.float32).tiny) / 127
    numbers = (np.round(blocks / scales[..., None]) + 128).astype(np.uint8)
    return [
        numpy_helper.from_array(numbers, f"{name}.blocks"),
        numpy_helper.from_array(scales.reshape(-1), f"{name}.scales"),
    ]


def _transpose_weights(graph: Any) -> None:
    """Store the weights that the graph transposes (a head tied to the embedding): only stored ones are quantised."""
    from onnx import numpy_helper

    stored = {tensor.name: tensor for tensor in graph.initializer}
    for node in [node for node in graph.node if node.op_type == "Transpose" and node.input[0] in stored]:
        turned = np.ascontiguousarray(numpy_helper.to_array(stored[node.input[0]]).transpose(node.attribute[0].ints))
        graph.initializer.append(numpy_helper.from_array(turned, node.output[0]))
        graph.node.remove(node)
