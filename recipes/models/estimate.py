"""How much memory a training takes, from what is known before anything is loaded: on a processor, and on a GPU.

    network = network_in(folder)                           its sizes, by its configurations; None for other layouts
    network = typical(model_class, modality, parameters)   a known network of about as many parameters
    tuning(network, batch, Choices(rank=16), PROCESSOR)    the peak of its first steps, by part

What a layer keeps for its backward pass was counted (torch's saved tensors, bf16 autocast, an adapter on every
projection). That a processor takes `factor` times as much is fitted to real peaks (tests/bench/bench_memory.py, table
in docs/models.md). The figures of CUDA are those counts and nothing more: none was measured on a GPU.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from recipes.models.attention import SHORT_TOKENS
from recipes.models.soundness import numbers_in, read_object

# Kept by a layer in bytes, for each token: by value of its width (with fused attention, and what plain attention adds),
# by value of its feed-forward width (half of that where two matrices do what three do in gated layers), and where it
# also looks at an encoder's states.
WIDTH_BYTES, PLAIN_WIDTH_BYTES, INNER_BYTES, CROSSING_BYTES = 19.0, 3.5, 8.4, 9.0
CROSSED_BYTES = 4.3  # by value of the decoder's width, for each of those states
LOGIT_BYTES = 11.5  # a learned position and token of the vocabulary: bf16, its fp32 copy, its gradient
ADAPTER_BYTES = 20.0  # a value, its gradient, two moments of AdamW, and the preflight's copy, each in fp32
PATCH_BYTES = 8.0 * 3 * 16**2  # a patch of a picture as it is read: fp32, and its copy while the batch is made
# 4 bits, one byte of scale for 64 of them and one fp32 for 256 scales (double quantisation).
NF4_BYTES = 0.5 + 1 / 64 + 4 / (64 * 256)
RECOMPUTED = 5  # layers that are held at a time where they are recomputed: fitted to one measured shape
PASSING_BYTES = 2.0  # a value that a layer without adapters computes and forgets
FULL_PRECISION = 2.0  # fp32 against bf16
MEGAPIXEL = 1_000_000


class Machine(NamedTuple):
    """A kind of machine: bytes before any model, what activations take beyond what autograd counts, bytes for each
    pair of positions of a head where attention is computed plainly, and up to how many positions it is."""

    fixed: float
    factor: float
    pair: float
    plain_up_to: int
    packs: bool  # weights stay in 4 bits


# Python with torch, transformers, TRL, PEFT and bitsandbytes imported, before any model; and what of their files is
# resident besides, which counts in every training's own process and not in the bench's, forked after they were read.
LIBRARIES_BYTES, LIBRARY_FILES_BYTES = 692e6, 354e6
PROCESSOR = Machine(LIBRARIES_BYTES + LIBRARY_FILES_BYTES, 2.0, 7.4, SHORT_TOKENS, packs=False)
# Its context and libraries; a tenth for what its allocator cannot use; attention is fused.
CUDA = Machine(0.5 * 2**30, 1.1, 0.0, 0, packs=True)


class Stack(NamedTuple):
    """Layers of one size: a language model, a decoder, a tower for pictures, an encoder of sound.

    gated: its feed-forward part has three matrices, not two; crossed: it also looks at the other stack's states.
    """

    layers: int
    width: int
    inner: int
    heads: int
    gated: bool = True
    crossed: bool = False

    def kept(self, rows: float, tokens: int, seen: int, factor: float, pair: float) -> float:
        """Bytes for the backward pass of `rows` sequences of `tokens`, which look at `seen` states.

        factor: what they take beyond what autograd counts; pair: bytes for each pair of positions of a head, 0 where
        attention is fused.
        """
        width = WIDTH_BYTES + (PLAIN_WIDTH_BYTES if pair else 0.0)
        token = self.width * width + self.inner * INNER_BYTES * (1.0 if self.gated else 0.5)
        looked = tokens * self.width * CROSSING_BYTES + seen * self.width * CROSSED_BYTES if self.crossed else 0.0
        pairs = tokens * (tokens + (seen if self.crossed else 0))
        return rows * self.layers * ((tokens * token + looked) * factor + self.heads * pairs * pair)

    def adapter(self, rank: int) -> int:
        """Values of an adapter on every projection."""
        attention = 8 * self.width * (2 if self.crossed else 1)
        return self.layers * rank * (attention + (3 if self.gated else 2) * (self.width + self.inner))


class Network(NamedTuple):
    """A network's sizes. Of a picture it sees `pieces` tiles of `patches` positions, of which `merged` become a token;
    of a second of sound `rate` positions. Neither is there in a text model. tower_name: what the module that sees
    pictures is called.
    """

    parameters: int
    text: Stack
    vocabulary: int
    tied: bool = True
    tower: Stack | None = None
    patches: int = 0
    merged: int = 1
    pieces: int = 1
    rate: float = 0.0
    tower_name: str = ""

    @property
    def picture_tokens(self) -> int:
        """Tokens that a picture takes."""
        return self.pieces * self.patches // self.merged


class Batch(NamedTuple):
    """`rows` rows of `tokens` tokens, picture included, `learned` of them with a loss; `seconds` of sound each."""

    rows: int
    tokens: int
    learned: int
    seconds: float = 0.0


class Choices(NamedTuple):
    """What a recipe decides: the adapter's rank, whether the tower has one, recomputing, 4 bits, bf16, and whether
    4-bit weights are held "packed", "rounded" or as the machine does ("auto")."""

    rank: int
    tower: bool = True
    checkpointing: bool = False
    in_4bit: bool = True
    bf16: bool = True
    weights: str = "auto"


class Estimate(NamedTuple):
    """Bytes by part."""

    libraries: float
    weights: float
    adapter: float
    activations: float
    logits: float

    @property
    def total(self) -> float:
        """All parts together."""
        return float(sum(self))


def tuning(network: Network, batch: Batch, choices: Choices, machine: Machine, packed: bool | None = None) -> Estimate:
    """The peak of the first steps. `packed`: weights stay in 4 bits; None as the machine does. A pair is two rows."""
    in_4bit = choices.in_4bit and (machine.packs if packed is None else packed)
    precision = 1.0 if choices.bf16 else FULL_PRECISION
    stacks = [network.text, *([network.tower] if network.tower and choices.tower else [])]
    return Estimate(
        libraries=machine.fixed,
        weights=_weights(network, in_4bit, precision),
        adapter=sum(stack.adapter(choices.rank) for stack in stacks) * ADAPTER_BYTES,
        activations=_activations(network, batch, choices, machine) * precision,
        logits=batch.rows * batch.learned * network.vocabulary * LOGIT_BYTES,
    )


def _weights(network: Network, packed: bool, precision: float) -> float:
    table = network.vocabulary * network.text.width * (1 if network.tied else 2)
    if not packed:
        return 2.0 * precision * network.parameters
    decoded = network.text.width * network.text.inner  # one matrix at a time
    return NF4_BYTES * max(0, network.parameters - table) + 2.0 * precision * (table + decoded)


def _activations(network: Network, batch: Batch, choices: Choices, machine: Machine) -> float:
    """What is kept for the backward pass, and the pictures; recomputing keeps the inputs of layers and some layers."""
    positions = round(batch.seconds * network.rate)
    seen, sequences = (positions, batch.rows) if network.rate else (network.patches, batch.rows * network.pieces)
    plain = max(batch.tokens, seen) <= machine.plain_up_to  # one choice for the whole network
    pair = machine.pair if plain else 0.0

    def stack(layers: Stack, rows: int, tokens: int, looked_at: int) -> float:
        if not choices.checkpointing:
            return layers.kept(rows, tokens, looked_at, machine.factor, pair)
        some = layers._replace(layers=min(RECOMPUTED, layers.layers)).kept(
            rows, tokens, looked_at, machine.factor, pair
        )
        return some + 2.0 * rows * layers.layers * tokens * layers.width

    total = stack(network.text, batch.rows, batch.tokens, positions)
    tower = network.tower
    if tower is None:
        return total
    if choices.tower:
        total += stack(tower, sequences, seen, 0)
    else:
        total += sequences * seen * (10 * tower.width + 2 * tower.inner) * PASSING_BYTES
    return total + (sequences * seen * PATCH_BYTES if network.patches else 0.0)


# Published networks: of Llama's kind, SmolVLM's and Whisper's, sizes as their configurations say.
KNOWN: dict[str, dict[str, tuple[Network, ...]]] = {
    "text": {
        "": (
            Network(134_515_008, Stack(30, 576, 1536, 9), 49_152),  # SmolLM2-135M
            Network(361_821_120, Stack(32, 960, 2560, 15), 49_152),  # SmolLM2-360M
            Network(596_049_920, Stack(28, 1024, 3072, 16), 151_936),  # Qwen3-0.6B
            Network(1_235_814_400, Stack(16, 2048, 8192, 32), 128_256),  # Llama-3.2-1B
            Network(1_711_376_384, Stack(24, 2048, 8192, 32), 49_152),  # SmolLM2-1.7B
            Network(4_022_468_096, Stack(36, 2560, 9728, 32), 151_936),  # Qwen3-4B
        )
    },
    "vision": {
        "": (
            Network(  # SmolVLM-256M
                256_484_928, Stack(30, 576, 1536, 9), 49_280, False, Stack(12, 768, 3072, 12, False), 1024, 16, 17
            ),
            Network(  # SmolVLM-500M
                507_482_304, Stack(32, 960, 2560, 15), 49_280, False, Stack(12, 768, 3072, 12, False), 1024, 16, 17
            ),
            Network(  # SmolVLM2-2.2B
                2_246_784_880, Stack(24, 2048, 8192, 32), 49_280, False, Stack(27, 1152, 4304, 16, False), 729, 9, 17
            ),
        ),
        "Qwen3VLForConditionalGeneration": (  # Qwen3-VL-2B, a picture of one megapixel
            Network(
                2_127_532_032, Stack(28, 2048, 6144, 16), 151_936, True, Stack(24, 1024, 4096, 16, False), 3906, 4, 1
            ),
        ),
    },
    "audio": {
        "": (
            Network(  # Whisper tiny
                37_760_640, Stack(4, 384, 1536, 6, False, True), 51_865, True, Stack(4, 384, 1536, 6, False), rate=50
            ),
            Network(  # Whisper base
                72_593_920, Stack(6, 512, 2048, 8, False, True), 51_865, True, Stack(6, 512, 2048, 8, False), rate=50
            ),
            Network(  # Whisper small
                241_734_912, Stack(12, 768, 3072, 12, False, True), 51_865, True, Stack(12, 768, 3072, 12, False),
                rate=50,
            ),
            Network(  # Whisper large-v3
                1_543_490_560, Stack(32, 1280, 5120, 20, False, True), 51_866, True, Stack(32, 1280, 5120, 20, False),
                rate=50,
            ),
        ),
        "ParakeetForCTC": (  # Parakeet CTC 1.1B: no decoder
            Network(1_100_000_000, Stack(0, 1024, 0, 0), 1_025, True, Stack(42, 1024, 4096, 8, False), rate=12.5),
        ),
    },
}  # fmt: skip


def typical(model_class: str, modality: str, parameters: int) -> Network:
    """The known network nearest in parameters, by ratio, with so many: of that class where one is known."""
    known = KNOWN[modality]
    nearest = min(
        known.get(model_class, known[""]),
        key=lambda one: max(one.parameters / parameters, parameters / one.parameters),
    )
    return nearest._replace(parameters=parameters, tower_name=_tower_name(model_class) if nearest.patches else "")


def network_in(folder: Path) -> Network | None:
    """The network in a folder, by its configurations and the heads of its weights. Raises ModelError."""
    files = [folder / name for name in ("preprocessor_config.json", "processor_config.json")]
    processor = {key: value for file in files if file.is_file() for key, value in read_object(file).items()}
    return network_of(read_object(folder / "config.json"), numbers_in(folder), processor)


def network_of(
    config: Mapping[str, Any], parameters: int, processor: Mapping[str, Any] | None = None
) -> Network | None:
    """A network's sizes from its config.json and its processor's; None for a layout that names them otherwise."""
    if encoder := config.get("encoder_config"):
        tower = _sized(encoder, gated=False)
        rate = 100 / int(encoder.get("subsampling_factor") or 8)
        empty = Stack(0, tower.width, 0, 0) if tower else None
        vocabulary = int(config.get("vocab_size") or 0)
        return Network(parameters, empty, vocabulary, tower=tower, rate=rate) if tower and empty else None
    text = config.get("text_config") or config
    vocabulary, tied = int(text.get("vocab_size") or 0), bool(config.get("tie_word_embeddings", True))
    if config.get("is_encoder_decoder"):
        heard = _sized(config, "encoder_", gated=False)
        said = _sized(config, "decoder_", gated=str(config.get("decoder_hidden_act", "")) == "silu")
        sound = (processor or {}).get("feature_extractor") or processor or {}
        hop = 2 * int(sound.get("hop_length") or 160) if config.get("num_mel_bins") else 384  # Moonshine's stride
        rate = 16_000 / hop
        found = Network(parameters, said._replace(crossed=True), vocabulary, True, heard, rate=rate) if said else None
        return found if heard and vocabulary else None
    stack = _sized(text, gated=True)
    if stack is None or not vocabulary:
        return None
    found = Network(parameters, stack, vocabulary, tied)
    if seen := config.get("vision_config"):
        tower = _sized(seen, gated=False)
        named = _tower_name(str(config.get("model_type", "")))
        patches, merged, pieces = _picture(config, seen, processor or {})
        picture = found._replace(tower_name=named, patches=patches, merged=merged, pieces=pieces)
        return picture._replace(tower=tower) if tower else None
    if heard_by := config.get("audio_config"):
        tower = _sized(heard_by, "encoder_", gated=False)
        return found._replace(tower=tower, rate=12.5) if tower else None
    return found


def _sized(config: Mapping[str, Any], prefix: str = "", *, gated: bool) -> Stack | None:
    """The stack that a configuration describes, by any of the names that classes use."""

    def of(*names: str) -> int:
        return next((int(config[name]) for name in names if config.get(name)), 0)

    layers = of(f"{prefix}layers", f"{prefix}num_hidden_layers", "num_hidden_layers", "depth")
    heads = of(f"{prefix}attention_heads", f"{prefix}num_attention_heads", "num_attention_heads", "num_heads")
    sizes = (layers, of("hidden_size", "d_model"), of(f"{prefix}ffn_dim", "intermediate_size"), heads)
    return Stack(*sizes, gated) if all(sizes) else None


def _picture(config: Mapping[str, Any], tower: Mapping[str, Any], processor: Mapping[str, Any]) -> tuple[int, int, int]:
    """Positions that a tower sees of a tile, or of one megapixel where any size goes; how many make a token; tiles."""
    side, patch = (_side(tower.get(name)) for name in ("image_size", "patch_size"))
    patch = patch or 16
    scale = int(config.get("scale_factor") or tower.get("spatial_merge_size") or config.get("downsample_factor") or 1)
    if not (side and config.get("scale_factor")):
        side = side if side and not tower.get("spatial_merge_size") else 0
    patches = (side // patch) ** 2 if side else MEGAPIXEL // patch**2
    images = processor.get("image_processor", processor)
    whole, tile = (_side((images.get(name) or {}).get("longest_edge")) for name in ("size", "max_image_size"))
    split = images.get("do_image_splitting") and whole and tile
    pieces = (whole // tile) ** 2 + 1 if split and whole > tile else 1
    return patches, scale**2, pieces


def _tower_name(model_class: str) -> str:
    """What a class, or its model_type, calls the module that sees pictures."""
    name = model_class.lower()
    if name.startswith("qwen"):
        return "visual"
    return "vision_model" if name.startswith(("smolvlm", "idefics")) else "vision_tower"


def _side(size: Any) -> int:
    return int((size[0] if isinstance(size, (list, tuple)) else size) or 0)
