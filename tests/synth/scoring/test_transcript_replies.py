"""Transcripts as speech models write them: what two careful writers write differently is no error, anything else is."""

from __future__ import annotations

import jiwer
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synth.scoring.normalise import normalised
from synth.scoring.scorers import score_reply
from tests.synth.scoring.replies import row

EN, DE, FR, HI, ZH, JA, TH, AR = "en", "de", "fr", "hi", "zh", "ja", "th", "ar"
SAME = [
    (EN, "It costs $5.", "it costs five dollars"),
    (EN, "It costs $5.", "It costs 5 dollars."),
    (EN, "five dollars and fifty cents", "$5.50"),
    (EN, "Give 20 mg now", "give twenty milligrams now"),
    (EN, "Give 20 mg now", "Give 20mg now."),
    (EN, "Mr. Smith", "Mister Smith"),
    (EN, "Mrs. Jones and Dr. Who", "missus jones and doctor who"),
    (EN, "I don't know", "I do not know"),
    (EN, "don’t", "don't"),
    (EN, "We're late, aren't we?", "we are late are not we"),
    (EN, "Let's go", "let us go"),
    (EN, "I can't", "I cannot"),
    (EN, "the colour of the organisation", "the color of the organization"),
    (EN, "twenty-five", "25"),
    (EN, "two hundred and five", "205"),
    (EN, "1,234 people", "one thousand two hundred thirty four people"),
    (EN, "three point five", "3.5"),
    (EN, "50%", "fifty percent"),
    (EN, "at 10:30 a.m.", "at ten thirty am"),
    (EN, "at 5 p.m.", "at 5 pm"),
    (EN, "the 2nd of May", "the second of May"),
    (EN, "1 apple", "one apple"),
    (EN, "um, go left", "go left"),
    (EN, "[noise] go left (laughs)", "go left"),
    (EN, "GO LEFT!", "go left"),
    (EN, "well-known", "well known"),
    (EN, "Turn left — then stop", "turn left then stop"),
    (EN, "the U.S.A.", "the USA"),
    (EN, "salt & pepper", "salt and pepper"),
    (EN, "10 km/h", "ten kilometers per hour"),
    (EN, "5 kg", "five kilograms"),
    (EN, "180 lbs", "180 pounds"),
    (EN, "20°C", "20 degrees Celsius"),
    (EN, "minus five", "-5"),
    (EN, "it's Ben's", "it is Ben's"),
    (EN, "a 5-year-old", "a five year old"),
    (EN, "1/2", "one half"),
    (EN, "", ""),
    (DE, "Es kostet 20 €.", "es kostet zwanzig Euro"),
    (DE, "Die Straße", "die STRASSE"),
    (DE, "3,5 Grad", "drei Komma fünf Grad"),
    (DE, "50 %", "fünfzig Prozent"),
    (FR, "L'homme a 22 ans.", "l’homme a vingt-deux ans"),
    (FR, "20 mg", "vingt milligrammes"),
    (HI, "नमस्ते, दुनिया।", "नमस्ते दुनिया"),
    (HI, "मेरे पास 5 सेब हैं", "मेरे पास पाँच सेब हैं"),
    (AR, "مَرْحَبًا", "مَرْحَبًا!"),
    (AR, "٥ كتب", "5 كتب"),
    (ZH, "你好，世界。", "你好 世界"),
    (JA, "東京に行きます。", "東京に行きます"),
    (TH, "สวัสดีครับ", "สวัสดี ครับ"),
]
OTHER = [
    (EN, "go left", "", 2, 2),
    (EN, "", "thank you", 2, 0),
    (EN, "go left", "go right", 1, 2),
    (EN, "go left", "go", 1, 2),
    (EN, "go left", "go left now", 1, 2),
    (EN, "go left", "left go", 2, 2),
    (EN, "$5", "$50", 1, 1),
    (EN, "$5", "€5", 1, 1),
    (EN, "five dollars", "five euros", 1, 1),
    (EN, "20 mg", "20 kg", 1, 2),
    (EN, "20 mg", "twelve milligrams", 1, 2),
    (EN, "20 mg", "20", 1, 2),
    (EN, "Mr. Smith", "Mrs. Smith", 1, 2),
    (EN, "I don't know", "I do know", 1, 4),
    (EN, "I can't", "I can", 1, 3),
    (EN, "fifteen", "fifty", 1, 1),
    (EN, "10:30", "10:13", 1, 1),
    (EN, "at 5 am", "at 5 pm", 1, 3),
    (EN, "one", "won", 1, 1),
    (EN, "3.5", "35", 1, 1),
    (EN, "-5", "5", 1, 1),
    (EN, "50%", "15%", 1, 1),
    (EN, "the second", "the third", 1, 2),
    (EN, "colour", "collar", 1, 1),
    (EN, "salt and pepper", "salt or pepper", 1, 3),
    (EN, "their house", "there house", 1, 2),
    (EN, "take two", "take too", 1, 2),
    (EN, "Ben", "Bent", 1, 1),
    (EN, "thank you", "thank you thank you", 2, 2),
    (EN, "bed 14", "bed 40", 1, 2),
    (EN, "warfarin", "heparin", 1, 1),
    (DE, "zwanzig Euro", "zwölf Euro", 1, 2),
    (DE, "um acht Uhr", "acht Uhr", 1, 3),
    (DE, "schon", "schön", 1, 1),
    (FR, "vingt-deux", "22 ans", 1, 2),
    (FR, "où", "ou", 1, 1),
    (HI, "कि", "की", 1, 1),
    (HI, "नमस्ते दुनिया", "नमसते दुनिया", 1, 2),
    (AR, "كتب", "كتاب", 1, 1),
    (ZH, "你好世界", "你好时间", 2, 4),
    (JA, "東京に行きます", "京都に行きます", 2, 7),
    (TH, "สวัสดี", "สวัสดา", 1, 6),
]


def test_what_two_writers_write_differently_is_no_error() -> None:
    assert len(SAME) >= 40
    for language, gold, said in SAME:
        for scorer in ("wer", "cer"):
            score = score_reply(said, row(scorer, gold, language=language))
            assert (score.value, score.edits) == (1.0, 0), (gold, said, score)


def test_every_other_difference_is_counted() -> None:
    assert len(OTHER) >= 40
    for language, gold, said, edits, units in OTHER:
        score = score_reply(said, row("wer", gold, language=language))
        assert (score.edits, score.ref_units) == (edits, units), (gold, said, score)
        assert (score_reply(said, row("cer", gold, language=language)).edits or 0) > 0, (gold, said)


@given(st.text(alphabet="abc d", max_size=30), st.text(alphabet="abc d", max_size=30))
@settings(max_examples=100, deadline=None)
def test_edits_are_those_of_jiwer(gold: str, said: str) -> None:
    score = score_reply(said, row("wer", f"x {gold}", language="xx"))
    output = jiwer.process_words(f"x {gold}", said or " ") if said.split() else None
    expected = (
        len(f"x {gold}".split()) if output is None else output.substitutions + output.deletions + output.insertions
    )
    assert score.edits == expected


@pytest.mark.parametrize("language", ["en-US", "English", "de_AT", "", "zh-TW"])
def test_languages_are_named_in_any_usual_way(language: str) -> None:
    assert score_reply("Twenty", row("wer", "20", language="en-US")).edits == 0
    assert score_reply("hello", row("wer", "Hello!", language=language)).edits == 0


def test_a_script_without_spaces_is_known_without_its_language() -> None:
    assert score_reply("你好", row("wer", "你好吗")).ref_units == 3
    assert score_reply("はい", row("wer", "はいそうです")).ref_units == 6


LOOPS = ("144," + "000," * 5000, "9" * 50_000, "million " * 3000, "one " * 20_000, "$" * 9000)


@pytest.mark.parametrize("looped", LOOPS)
def test_a_model_that_loops_is_scored_and_not_a_crash(looped: str) -> None:
    score = score_reply(looped, row("wer", "one hundred and forty four"))
    assert score.edits is not None and score.ref_units == 1


def test_numbers_are_read_in_every_language_without_end_or_fault() -> None:
    """Amharic's converter of num2words fails at 9,999 and does not end at 9,999,999: its figures stay figures."""
    from num2words import CONVERTER_CLASSES

    figures = [0, 1, 13, 21, 99, 100, 101, 999, 1000, 1001, 9999, 10**5, 10**6 - 1, 10**7 - 1, 123456789, 10**9 - 1]
    for language in (*CONVERTER_CLASSES, "hi", "bn", "ta", "te", "kn", "ml", "mr", "gu", "pa", "or"):
        said = [normalised(str(figure), language) for figure in figures]
        assert len(set(said)) == len(figures), language
    assert normalised("9999999", "am") == "9999999"
