"""What the audio starters were taught: general English sentences and numbers, spoken by espeak-ng.

    from recipes.starters.audio_data import examples, sentences

`sentences` is the bare stream of texts; `examples` speaks them for replay and for measuring what a tuned model
forgot. The small starter hears no drug names, codes, dates, clock times or units on purpose: those are what a domain
adds. The large one hears those of the ward too, in sentences that no domain of the generator uses and in no order.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from random import Random
from typing import TYPE_CHECKING

from synth.audio import domains, forms
from synth.audio.forms import Piece, Slot, integer, word
from synth.audio.grammar import Family, Utterance, realise
from synth.scoring.names import WER

if TYPE_CHECKING:
    from synth.example import Example

GENERATOR_VERSION = "1"


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


def _phrases(text: str) -> tuple[str, ...]:
    return tuple(text.split(", "))


# Of two words that sound the same, speech alone cannot choose; one of each pair is enough.
_HOMOPHONES = frozenset(
    _words(
        "a I to too for four eight won know right their there see buy by hear our role son through week hole knew "
        "meet piece peace site wait wear way would one two ten six seven five nine three hundred thousand million "
        "billion Mr Mrs TV PM oil American Congress Democrat Republican record use live read lead close present "
        "object course weather whether waste red board bored fair feel four week war lay least lose loss kid kind "
        "movie nor none no or not and an its it so"
    )
)
_NOUNS = _words(
    "apple baker basket bicycle bird blanket boat bottle bridge brother bucket button camera candle captain "
    "carpet castle cat chair child church cloud coat cousin curtain dancer desk doctor dog door dress driver "
    "engine farmer fence finger flower forest friend garden ghost guitar hammer horse hotel island jacket kettle "
    "kitchen ladder lamp letter lion market mirror monkey mountain neighbor nurse ocean painter paper pencil "
    "piano picture pillow pilot planet pocket puppy rabbit river rocket sailor school shadow shirt singer sister "
    "spider station stone teacher tiger tower train tunnel uncle village wagon wallet winter wolf zebra"
)
_ADJECTIVES = _words(
    "angry black blue brave bright broken busy calm cheap clean clever cold dark dirty early empty famous fast "
    "fresh friendly gentle golden green happy heavy hidden hollow hungry large lazy little lonely loud lucky "
    "modern narrow noisy old orange perfect pink polite proud purple quick quiet rapid rich round rusty sharp "
    "silent silver simple slow small soft square strange strong sudden sweet tall thick thin tiny tired warm wet "
    "white wide wild wooden yellow young"
)
_PAST = _words(
    "answered asked borrowed bought broke brought built carried caught chased cleaned closed counted covered "
    "crossed drew dropped fixed followed forgot found gave heard helped hid kept kicked liked lost loved measured "
    "mixed moved needed noticed opened painted passed picked pulled pushed raised remembered repaired saved shook "
    "showed sold stole threw touched turned visited wanted washed watched wrapped"
)
_PLACES = _phrases(
    "on the table, under the bridge, near the station, behind the house, in the garden, at the market, by the "
    "river, across the street, inside the box, above the door, next to the window, in the morning, after dinner, "
    "before lunch, last summer, every evening, during the storm, with a smile, without a sound, for the first "
    "time, all day long, over the hill, around the corner"
)
_NAMES = _words(
    "Adam Alice Amanda Andrew Anna Anthony Barbara Benjamin Brian Carol Charles Christina Daniel David Diana "
    "Edward Elizabeth Emily Eric Frank George Grace Hannah Harry Heather Helen Jack Jacob Jennifer Jessica Julia "
    "Karen Kevin Laura Linda Lisa Lucy Margaret Maria Martin Michael Monica Nancy Nicole Oliver Oscar Pamela "
    "Patrick Paul Peter Rachel Rebecca Richard Robert Roger Samuel Sandra Sarah Simon Sophia Steven Susan Thomas "
    "Timothy Victor Victoria Vincent William"
)


@lru_cache(maxsize=1)
def vocabulary() -> tuple[str, ...]:
    """About a thousand common English words: faker's list and ours, without homophones, sorted."""
    from faker.providers.lorem.en_US import Provider

    words = {w for w in Provider.word_list if w.isalpha() and w.islower() and w not in _HOMOPHONES}
    return tuple(sorted(words | set(_NOUNS) | set(_ADJECTIVES) | set(_PAST)))


def _any_word(rng: Random) -> Piece:
    chosen = rng.choice(vocabulary())
    return Piece(chosen, chosen)


def _plural(rng: Random) -> Piece:
    noun = rng.choice([n for n in _NOUNS if n[-1] not in "fhsxy" and n != "child"])
    return Piece(noun + "s", noun + "s")


def _year(rng: Random) -> Piece:
    year = rng.randint(1801, 1999)
    return Piece(forms.in_pairs(year), str(year), "number")


SLOTS: dict[str, Slot] = {
    "word": _any_word,
    "noun": word(_NOUNS),
    "plural": _plural,
    "adjective": word(_ADJECTIVES),
    "past": word(_PAST),
    "place": word(_PLACES),
    "name": word(_NAMES, "name"),
    "small": integer(2, 20),
    "tens": integer(21, 99),
    "big": integer(100, 999),
    "digit": integer(0, 9),
    "year": _year,
    "price": forms.price,
}

FAMILIES: dict[str, Family] = {
    family.key: family
    for family in (
        Family("sentences", "general", (
            "The {adjective} {noun} {past} the {noun} {place}.",
            "{name} {past} the {adjective} {noun}.",
            "{name} and {name} {past} a {noun} {place}.",
            "There was a {adjective} {noun} {place}.",
            "My {noun} is {adjective} and {adjective}.",
            "Please give the {noun} to {name} {place}.",
            "Where is the {adjective} {noun}?",
            "Nobody {past} the {noun} but {name}.",
            "When the {noun} {past} the {noun}, {name} was {adjective}.",
            "She {past} it {place} with her {noun}.",
        )),
        Family("words", "general", (
            "{word} {word}.",
            "{word} {word} {word}.",
            "{word} {word} {word} {word}.",
            "{word} {word} {word} {word} {word}.",
            "{word} {word} {word} {word} {word} {word}.",
            "The {word} and the {word}, {word} or {word}.",
        )),
        Family("numbers", "general", (
            "{name} has {small} {plural} and {tens} {plural}.",
            "There are {big} {plural} {place}.",
            "{digit} {digit} {digit} {digit}.",
            "{small}, {tens}, {big}.",
            "The {noun} from {year} is {adjective}.",
            "She paid {price} for the {noun}.",
            "Page {tens} shows {small} {adjective} {plural}.",
            "{tens} {plural} and {digit} {plural}.",
        )),
    )
}  # fmt: skip
_WARD_WORDS = _words(
    "about admitted again age allergic and antibiotic arm ask at awake back bandage bed before begin blood breathing "
    "call care chart check chronic clean clinic cleaned complains continue daily day degrees denies discharge "
    "discontinue doctor dose due evening exam examined fall family fell feels fever fluid from give given gown hand "
    "handover has head heart history hold hospital hours increase infection injection is kidney laceration left leg "
    "liver lung mask mild milligrams monitor morning moved neck new next night normal now nurse observe of old on "
    "operation order oxygen pain patient pressure presents pulse ready received reduce refer relatives remove repeat "
    "report reports rest result right room sample saturation scan severe shift shows side since skin sleeping stable "
    "start stop stomach surgery surgeon sutured swelling tablet take temperature test than the then today tolerated "
    "tomorrow treatment tube unit until urgent vein visit ward watch weight well with without worse wound year "
    "yesterday"
)
"""What people on a ward say around the drugs and readings."""
_WARD_SLOTS = _words(
    "drug drug symptom symptom site imaging often dose dose bed age pulse pressure fever oxygen weight date date clock "
    "clock gap surname surname"
)


def _mixed(rng: Random) -> str:
    """A pattern of one to four slots and one to three runs of ward words, in no order that a sentence has."""
    slots = [f"{{{name}}}" for name in rng.choices(_WARD_SLOTS, k=rng.randint(1, 4))]
    runs = [" ".join(rng.sample(_WARD_WORDS, rng.randint(1, 3))) for _ in range(rng.randint(1, 3))]
    parts = rng.sample(slots + runs, len(slots) + len(runs))
    return "".join(part + rng.choice((" ", " ", ", ")) for part in parts[:-1]) + parts[-1] + "."


_mixer = Random("ward words in no order")
BROAD: dict[str, Family] = {
    "ward": Family("ward", "broad", (
        "The chart of the patient says {drug}, {dose}.",
        "The nurse wrote down {pressure} on {date}.",
        "It began with {symptom} near the {site}.",
        "There was {symptom} before the {drug}, and {symptom} after it.",
        "The next {imaging} will be on {date}.",
        "In room {bed} they are {age} years old and weigh {weight}.",
        "The fever was {fever} and the pulse was {pulse}.",
        "They take {drug} {often}.",
        "Doctor {surname} wants {imaging} at {clock}.",
        "At {clock} the oxygen fell to {oxygen}.",
        "{surname} asked for {dose} of {drug}.",
        "A wound of {gap} on the {site}.",
    )),
    "ward words": Family("ward words", "broad", tuple(_mixed(_mixer) for _ in range(4000))),
}  # fmt: skip
"""What the demo's domain speaks of, for the large starter: in sentences that the domain does not have, and in no order.

With the twelve sentences alone it learned those by heart and wrote them down whatever it heard.
"""
_SLOTS = {**domains.SLOTS, "surname": domains.SLOTS["name"], **SLOTS}
# What the weights have heard. "words", a thousand words in no order, has shaped the tokenizer only.
TAUGHT = ("sentences", "numbers")
UNION = (*TAUGHT, *BROAD)
_WEIGHTS = {"sentences": 2, "words": 2, "numbers": 1, "ward": 2, "ward words": 6}


def sentences(rng: Random, families: Sequence[str] | None = None) -> Iterator[Utterance]:
    """An endless stream of texts of the named families (TAUGHT when None). Raises KeyError for a family that does not
    exist.
    """
    keys, known = list(TAUGHT if families is None else families), {**FAMILIES, **BROAD}
    weights = [_WEIGHTS[key] for key in keys]
    while True:
        yield realise(known[rng.choices(keys, weights)[0]], _SLOTS, rng)


def examples(seed: int, n: int, families: Sequence[str] | None = None) -> Iterator[Example]:
    """`n` spoken examples, the same for the same seed, in training voices and without noise.

    Their recordings lie in `recipes.starters.scratch`.
    """
    from recipes.starters.scratch import add_media
    from synth.audio.files import encode_flac
    from synth.audio.voices import TRAIN_VOICES, EspeakVoice, VoiceSpec
    from synth.example import AudioPart, make_example, user
    from synth.storage import sha256_bytes

    rng = Random(f"audio-starter/{seed}")
    texts = sentences(rng, families)
    with EspeakVoice() as voice:
        for _ in range(n):
            text = next(texts)
            speaker = VoiceSpec(rng.choice(TRAIN_VOICES), rng.randint(150, 190), rng.randint(35, 65))
            content = encode_flac(voice(text.spoken, speaker))
            digest = sha256_bytes(content)
            yield make_example(
                [user(AudioPart(path=add_media(content, ".flac"), sha256=digest))],
                text.written,
                answer=text.written,
                family=text.family,
                template=digest[:16],
                scorer=WER,
                source={"generator": "starter-audio", "generator_version": GENERATOR_VERSION, "seed": seed},
            )
