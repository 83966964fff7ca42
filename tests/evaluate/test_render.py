"""Claims about report.html and report.md: traceable, inert, self-contained, quick."""

import base64
import functools
import hashlib
import html
import json
import re
import struct
import time
import wave
import zlib
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from plausible import results

from evaluate.report import render_html, render_md, report_json
from evaluate.report.parts import JudgePart
from evaluate.report.results import Results
from evaluate.report.schema import Report

pytestmark = pytest.mark.slow

HOSTILE = (
    "<script>alert(1)</script><img src=x onerror=alert(2)>[a](javascript:alert(3))"
    "\u202egnp.exe\x1b[31m\x00{{7*7}}</style>"
)


@functools.cache
def made() -> Report:
    return report_json.build(results(per_split=120))


@functools.cache
def page() -> str:
    return render_html.render(made())


class Collector(HTMLParser):
    """Tags with attributes, the texts of elements that name their source, and unclosed tags."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))


def tags(source: str) -> list[tuple[str, dict[str, str | None]]]:
    parser = Collector()
    parser.feed(source)
    return parser.tags


def look_up(value: Any, path: str) -> Any:
    for step in path.split("/"):
        value = value[int(step)] if isinstance(value, list) else value[step]
    return value


def embedded(source: str) -> dict[str, Any]:
    text = re.search(r'<script type="application/json" id="report">(.*?)</script>', source, re.S)
    assert text is not None
    found: dict[str, Any] = json.loads(text.group(1))
    return found


def test_every_figure_names_a_place_that_exists_in_the_embedded_report() -> None:
    data = embedded(page())
    assert data == made().model_dump(mode="json")
    paths = [attrs["data-from"] for _, attrs in tags(page()) if "data-from" in attrs]
    assert len(paths) > 150
    for path in paths:
        look_up(data, path or "")


class Untraced(HTMLParser):
    """Words with digits that stand under no element which names its source, names from data left out."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[tuple[str, bool]] = []
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = dict(attrs)
        traced = "data-from" in named or "data" in (named.get("class") or "").split()
        if tag not in ("meta", "img", "input", "br"):
            self.open.append((tag, traced or tag in ("style", "script", "title")))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        while self.open and self.open.pop()[0] != tag:
            pass

    def handle_data(self, data: str) -> None:
        if re.search(r"\d", data) and not any(traced for _, traced in self.open):
            self.found.append(" ".join(data.split()))


SPEECH = {
    "words": 100,
    "substitutions": 7,
    "deletions": 3,
    "insertions": 2,
    "worst": [["left", 4, 20]],
    "confusions": [],
    "rate": 0.12,
    "entities": {"name": {"spoken": 9, "missed": 2}},
    "entity_error_rate": 2 / 9,
    "conditions": {"noise: none": {"n": 60, "words": 100, "rate": 0.12}},
}


def test_no_figure_stands_without_its_place() -> None:
    full = results(("base", "sft", "dpo", "large-few", "mini"), large="mini", per_split=120)
    seeds = tuple(
        one.model_copy(update={"seed_group": "g", "train_seed": number}) for number, one in enumerate(full.systems)
    )
    agreement = {"n": 40, "share": 0.9, "ci95": [0.8, 0.95], "kappa": 0.7}
    judged = {"model": "j", "pairs": 40, "pairs_in_all": 90, "judged": 39, "small_wins": 20, "large_wins": 10}
    judged |= {"ties_or_flips": 9, "ahead": 0.2, "ci95": [0.1, 0.3], "verdict": "BETTER", "sentence": "s", "usd": 0.3}
    judged |= {"agreement_of_orders": agreement, "first_position_wins": 0.5, "suspicious_pairs": 1}
    judged |= {"ahead_without_suspicious": 0.2, "calibration": agreement}
    made = report_json.build(full.model_copy(update={"systems": seeds, "speech": {"dpo": {"test": SPEECH}}}))
    source = render_html.render(made.model_copy(update={"judge": JudgePart.model_validate(judged)}))
    for _, attrs in tags(source):
        if "data-from" in attrs:
            look_up(embedded(source), attrs["data-from"] or "")
    parser = Untraced()
    parser.feed(source)
    prose = r"95 % intervals?|per 1,000|p50 / p95|80 % power|\(3,600 ×|above 100 %|730 hours|90 days|50 % would"
    assert len(parser.found) > 8
    assert [text for text in parser.found if re.search(r"\d", re.sub(prose, "", text))] == []


def test_the_spread_over_seeds_stands_in_the_markdown_too() -> None:
    full = results(("base", "sft", "dpo", "large-few", "mini"), large="mini", per_split=120)
    assert "Luck of the seed" not in render_md.render(report_json.build(full))
    seeds = tuple(one.model_copy(update={"seed_group": "g", "train_seed": n}) for n, one in enumerate(full.systems[:3]))
    found = report_json.build(full.model_copy(update={"systems": (*seeds, *full.systems[3:])}))
    said, first = render_md.render(found), found.seeds[0]
    assert f"| g | {first.split} | 3 | {100 * first.mean:.1f} % [" in said


def test_shown_scores_are_those_of_their_place() -> None:
    pairs = re.findall(r'<span data-from="(systems/\d+/splits/\w+/value)">([\d.]+)\xa0%</span>', page())
    assert len(pairs) >= 12
    for path, shown in pairs:
        assert float(shown) == pytest.approx(100 * look_up(made().model_dump(mode="json"), path), abs=0.051)


def test_page_loads_nothing_from_anywhere() -> None:
    for tag, attrs in tags(page()):
        assert tag not in ("link", "iframe", "object", "embed", "base")
        for name in ("src", "href", "action", "data", "poster"):
            assert (attrs.get(name) or "#").startswith(("data:", "#")), (tag, attrs)
    assert "@import" not in page()
    assert "url(" not in page()


def test_every_link_of_the_table_of_contents_leads_somewhere() -> None:
    ids = {attrs.get("id") for _, attrs in tags(page())}
    targets = [attrs["href"] for tag, attrs in tags(page()) if tag == "a"]
    assert len(targets) == 11
    assert all((target or "").removeprefix("#") in ids for target in targets)


def test_policy_allows_only_our_own_script() -> None:
    scripts = re.findall(r"<script>(.*?)</script>", page(), re.S)
    assert len(scripts) == 1
    digest = base64.b64encode(hashlib.sha256(scripts[0].encode()).digest()).decode()
    policy = next(a["content"] for t, a in tags(page()) if a.get("http-equiv") == "Content-Security-Policy")
    assert f"script-src 'sha256-{digest}'" in (policy or "")
    assert (policy or "").startswith("default-src 'none'")


def test_rendering_twice_gives_equal_bytes() -> None:
    assert render_html.render(made()) == page()
    assert render_md.render(made()) == render_md.render(made())


def hostile_report() -> Report:
    original = results(("dpo", "large-few", "mini"), per_split=60, hostile=HOSTILE)
    renamed: Results = original.model_copy(
        update={
            "notes": (HOSTILE,),
            "dataset": original.dataset.model_copy(update={"name": HOSTILE}),
            "plan": original.plan.model_copy(update={"name": HOSTILE}),
            "provenance": original.provenance.model_copy(update={"machine": {HOSTILE: HOSTILE}}),
        }
    )
    return report_json.build(renamed)


def test_nothing_in_data_comes_alive() -> None:
    source = render_html.render(hostile_report())
    found = tags(source)
    assert sum(tag == "script" for tag, _ in found) == 2
    assert not any(tag == "img" for tag, _ in found)
    assert all((attrs["href"] or "").startswith("#") for tag, attrs in found if tag == "a")
    assert not any(name.startswith("on") for _, attrs in found for name in attrs)
    assert "{{7*7}}" in html.unescape(source)
    assert embedded(source)["title"] == HOSTILE


def test_direction_and_control_characters_are_made_visible() -> None:
    source = render_html.render(hostile_report())
    assert not re.search("[\u202a-\u202e\u2066-\u2069\u200e\u200f\x00-\x08\x0b-\x1f\x7f]", source)
    assert "⟦U+202E⟧gnp.exe⟦U+001B⟧[31m⟦U+0000⟧" in source


def test_markdown_carries_no_live_markup() -> None:
    source = render_md.render(hostile_report())
    assert "<script" not in source.replace("\\<", "")
    assert not re.search(r"(?<!\\)\[a(?<!\\)\]\(", source)
    assert "\u202e" not in source


def test_markdown_says_what_the_html_says() -> None:
    source = render_md.render(made())
    assert source.startswith("# invoices: On generated rows only: BETTER")
    assert "earned back after" in source
    assert "not a frontier model" in source
    assert source.count("| ") > 40


def test_a_report_of_one_system_or_without_prices_renders() -> None:
    from evaluate.cost.prices import PriceSheet

    alone = report_json.build(results(("sft",), small="sft", large="", per_split=40))
    unpriced = report_json.build(results(per_split=40), PriceSheet())
    for one in (alone, unpriced):
        assert ">Systems</h2>" in render_html.render(one)
        assert render_md.render(one)
    assert "unpriced" in render_html.render(unpriced)


def png(path: Path, width: int, height: int) -> None:
    """A grey picture, written by hand."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = b"".join(b"\x00" + b"\x80" * width for _ in range(height))
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    )


def with_media(path: str) -> Report:
    original = results(("dpo", "large-few"), per_split=40)
    systems = tuple(
        one.model_copy(update={"rows": tuple(row.model_copy(update={"media": (path,)}) for row in one.rows)})
        for one in original.systems
    )
    return report_json.build(original.model_copy(update={"systems": systems}))


def test_pictures_and_sounds_are_embedded_in_the_gallery(tmp_path: Path) -> None:
    (tmp_path / "media").mkdir()
    png(tmp_path / "media/a.png", 64, 48)
    with wave.open(str(tmp_path / "media/a.wav"), "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(16000)
        sound.writeframes(b"\x00\x00" * 1600)
    seen = render_html.render(with_media("media/a.png"), tmp_path)
    transcripts = render_html.render(with_media("media/a.wav"), tmp_path)
    assert 'src="data:image/png;base64,' in seen
    assert 'src="data:audio/wav;base64,' in transcripts


@pytest.mark.parametrize("path", ["../secret.png", "media/absent.png", "/etc/hostname"])
def test_media_outside_the_dataset_is_never_read(tmp_path: Path, path: str) -> None:
    (tmp_path / "dataset").mkdir()
    png(tmp_path / "secret.png", 8, 8)
    source = render_html.render(with_media(path), tmp_path / "dataset")
    assert "data:image" not in source
    assert "the file is not in the dataset" in source


def test_a_broken_or_huge_picture_is_named_and_not_embedded(tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nnonsense")
    png(tmp_path / "huge.png", 20_000, 3_000)
    assert render_html.embed(tmp_path, "broken.png").why == "the picture cannot be read"
    assert render_html.embed(tmp_path, "huge.png").why == "the picture is too large to embed"


def test_fifty_thousand_rows_give_a_small_page_that_states_its_counts() -> None:
    original = results(("dpo", "large-few"), per_split=1000)
    systems = tuple(
        one.model_copy(
            update={
                "rows": tuple(
                    row.model_copy(update={"example_id": f"{copy:02}{row.example_id}"})
                    for copy in range(34)
                    for row in one.rows
                )
            }
        )
        for one in original.systems
    )
    facts = original.dataset.model_copy(update={"splits": {"test": 34_000, "test_ood": 17_000}})
    big = report_json.build(original.model_copy(update={"systems": systems, "dataset": facts}))
    begun = time.perf_counter()
    source = render_html.render(big)
    assert time.perf_counter() - begun < 2
    assert len(source) < 600_000
    assert big.gallery is not None
    counts = big.gallery.counts
    assert sum(sum(split.values()) for split in counts.values()) == sum(big.dataset.splits.values()) >= 50_000
    assert f"{counts['test']['only_small']:,}" in source


def test_data_whose_every_row_is_its_own_family_give_a_table_of_a_hundred() -> None:
    original = results(("dpo", "large-few"), per_split=150)
    systems = tuple(
        one.model_copy(update={"rows": tuple(row.model_copy(update={"family": row.example_id}) for row in one.rows)})
        for one in original.systems
    )
    many = report_json.build(original.model_copy(update={"systems": systems}))
    assert [row.split for row in many.families].count("test") == 100
    assert many.families_in_all == {"test": 150, "test_ood": 75}
    assert "the 100 most numerous of" in render_html.render(many)


def test_cost_per_correct_without_an_upper_bound_is_said_in_words() -> None:
    made = report_json.build(results(("sft", "large-few"), small="sft", per_split=30))
    said = made.model_dump(mode="json")
    said["systems"][0]["cost"]["usd_per_correct_ci95"] = [0.001, None]
    assert "or more: it may be right in none" in render_html.render(Report.model_validate(said))


def test_a_latency_of_minutes_is_not_a_power_of_ten() -> None:
    report = made()
    slow = report.systems[0].latency_s.model_copy(update={"p50": 440.0, "p95": 690.0})
    systems = [report.systems[0].model_copy(update={"latency_s": slow}), *report.systems[1:]]
    found = render_html.render(report.model_copy(update={"systems": systems}))
    assert "7.3 min" in found and "11.5 min" in found and "e+02" not in found.partition("<script")[0]
