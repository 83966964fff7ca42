"""report.html: one self-contained file from report.json (and, for pictures and sound, the dataset's media folder).

Everything from data is escaped by Jinja, control and direction-changing characters are made visible, and a content
security policy allows only our own script, known by its hash: no markup, script or link in data can come alive.
Draws nothing itself (charts.py) and computes no figure (report.py).
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import math
import re
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from evaluate.cost.throughput import CROWDED
from evaluate.report import basis, charts, headline, prices_said, wording
from evaluate.report.money import Heat, Sensitivity
from evaluate.report.parts import Comparison, GalleryItem, SystemByClass
from evaluate.report.schema import Report, SystemPart
from evaluate.stats.audio_metrics import word_diff
from evaluate.stats.measures import MOST_FAMILIES
from synth.errors import DataError
from synth.media import resolve_inside
from synth.scoring.scorers import metric as metric_facts

TEMPLATES = Path(__file__).with_name("templates")
MEDIA_BUDGET = 4_000_000  # bytes of pictures and sound embedded in all
LONGEST_AUDIO = 400_000  # bytes of one sound
THUMBNAIL = (440, 330)
MOST_PIXELS = 50_000_000
MOST_CLASSES = 12  # of a confusion matrix that can be read
FAMILY_SYSTEMS = 6  # columns that the family table can carry
PRINTED_PER_KIND = 4  # cases visible on paper and without JavaScript
KIND_NAMES = {"only_small": "only small right", "only_large": "only large right", "both_wrong": "both wrong"}
ERROR_KIND_NAMES = {"only_small": "small better", "only_large": "large better", "both_wrong": "alike, with errors"}
ASSUMPTIONS = {
    "large_price": "price of the large system",
    "machine_price": "price of a machine hour",
    "utilisation": "share of machine time in use",
    "speed": "speed of the small system",
    "fixed_cost": "fixed cost of tuning",
}


class Media(NamedTuple):
    """One embedded picture or sound; kind "missing" carries the reason in `why`."""

    kind: str
    uri: str = ""
    why: str = ""


def render(report: Report, media_root: Path | None = None) -> str:
    """The page. media_root: dataset folder that the gallery's media paths are relative to; None embeds none."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(_filters())
    shown = Report.model_validate(visible(report.model_dump(mode="json")))
    script = (TEMPLATES / "report.js").read_text("utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    media, left_out = _gallery_media(report, media_root)
    return environment.get_template("report.html.j2").render(
        **_context(shown),
        media=media,
        media_left_out=left_out,
        css=Markup((TEMPLATES / "report.css").read_text("utf-8")),
        script=Markup(script),
        script_hash=f"sha256-{digest}",
        embedded=Markup(inert_json(report)),
    )


def visible(value: Any) -> Any:
    """The same JSON value with control, direction-changing and invisible characters written out as ⟦U+202E⟧."""
    if isinstance(value, dict):
        return {visible(key): visible(item) for key, item in value.items()}
    if isinstance(value, list):
        return [visible(item) for item in value]
    if not isinstance(value, str):
        return value
    return "".join(
        f"⟦U+{ord(c):04X}⟧" if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Co") and c not in "\n\t" else c
        for c in value
    )


def inert_json(report: Report) -> str:
    """JSON that no HTML parser can mistake for markup: ASCII only, with <, > and & escaped."""
    text = json.dumps(report.model_dump(mode="json"), ensure_ascii=True, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _filters() -> dict[str, Any]:
    return {
        "nb": _unbroken,
        "percent": lambda value, digits=1: _unbroken(wording.percent(value, digits)),
        "points": lambda value: wording.points(value).replace("+0.0 points", "0.0 points"),
        "size": lambda value: wording.points(value).removeprefix("+"),
        "bounds": lambda ci95: f"{100 * ci95[0]:.1f} to {100 * ci95[1]:.1f}",
        "signed_bounds": lambda ci95: f"{100 * ci95[0]:+.1f} to {100 * ci95[1]:+.1f}",
        "chance": lambda p: "over 99.9\u00a0%" if p > 0.999 else _unbroken(wording.percent(p)),
        "usd": wording.usd,
        "usd_short": _usd_short,
        "count": wording.count,
        "megabytes": wording.size,
        "months": wording.months,
        "would_decide": wording.would_decide,
        "of_family": wording.of_family,
        "p_value": lambda p: "–" if p is None else "< 0.0001" if p < 0.0001 else f"{p:.4f}" if p < 0.01 else f"{p:.2f}",
        "params_short": lambda value: wording.params(value).replace("-parameter ", " parameters"),
        "duration": _duration,
    }


def _unbroken(words: str) -> str:
    """Percent signs and magnitudes stay on the line of their number."""
    return re.sub(r"(?<=\d) (?=[%M])", "\u00a0", words)


def _usd_short(value: float | None) -> str:
    """A saving in a narrow cell: $12, $3.4 k, −$0.05."""
    if value is None:
        return "unpriced"
    size, sign = abs(value), "−" if value < 0 else ""
    for unit, letter in ((1e6, " M"), (1e3, " k")):
        if size >= unit:
            return f"{sign}${size / unit:.3g}{letter}"
    return f"{sign}${size:.3g}" if size >= 0.01 or size == 0 else f"{sign}<$0.01"


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return "–"
    if seconds < 120:
        return f"{seconds:.3g} s"
    return f"{seconds / 60:.1f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def _context(report: Report) -> dict[str, Any]:
    """What the template needs beside the report itself."""
    metric = report.small_system.metric
    lower = metric_facts(metric).lower_is_better
    primary, systems = report.primary_split, report.systems
    tops = [cell.ci95[1] for system in systems for cell in system.splits.values() if cell.ci95]
    items = report.gallery.items if report.gallery else ()
    return {
        "r": report,
        "small": report.small_system,
        "large": report.large_system,
        "labels": {system.id: system.label for system in systems},
        "exported_systems": [s for s in systems if any(s.id in (e.original, e.system) for e in report.exports)],
        "index": {system.id: place for place, system in enumerate(systems)},
        "role": lambda system_id: charts.role(report, system_id),
        "metric_name": lambda name: metric_facts(name).label,
        "top": max(tops, default=1.0) if lower else 1.0,
        "span": _span(report.comparisons, report.margin),
        "methods": sorted({row.method for row in report.comparisons}),
        "interval_bar": charts.interval_bar,
        "difference_mark": charts.difference_mark,
        "swing_bar": charts.swing_bar,
        "swing_reach": _swing_reach(report.sensitivity),
        "assumption_names": ASSUMPTIONS,
        "pareto": charts.pareto(report),
        "not_drawn": [s.label for s in systems if s.splits[primary].value is not None and not s.cost.usd_per_1k],
        "money": charts.break_even(report) if report.large else None,
        "cascade": charts.cascade(report),
        "heat": _heat(report.sensitivity.heat),
        "accuracy_sentence": headline.accuracy(report),
        "elsewhere_sentences": " ".join(headline.elsewhere(report)),
        "matrix": _confusion,
        "price": prices_said.figure,
        "speed": prices_said.speed,
        "spent": prices_said.spent(report),
        "crowded": lambda system: system.speed is not None and system.speed.others_share > CROWDED,
        "pay_back": headline.pay_back(report) if report.large else "",
        "badge": _badge(report),
        "split_title": lambda split: basis.title(split, report.basis.kinds[split]),
        "begins": lambda split: basis.qualified(report.basis.kinds[split], ""),
        "kind_title": lambda split: basis.KINDS[report.basis.kinds[split]],
        "elsewhere": [s for s in report.dataset.splits if s != primary and not s.startswith(("val", "train"))],
        "slider": _slider(report),
        "family_systems": _family_systems(report),
        "most_families": MOST_FAMILIES,
        "word_diff": word_diff if metric_facts(metric).unit == "words" else None,
        "kind_names": ERROR_KIND_NAMES if lower else KIND_NAMES,
        "printed": _printed(items),
        "provenance": json.dumps(report.provenance.model_dump(mode="json"), indent=1, ensure_ascii=False),
    }


def _confusion(part: SystemByClass) -> list[tuple[str, list[int]]]:
    """The confusion matrix: a row per right label, columns in that order and last all else; [] where it is cut."""
    labels = [one.label for one in part.classes]
    wrong = {(one.gold, one.given): one.rows for one in part.mistakes}
    if len(labels) > MOST_CLASSES or sum(one.gold - one.right for one in part.classes) > sum(wrong.values()):
        return []
    return [
        (
            one.label,
            [one.right if given == one.label else wrong.get((one.label, given), 0) for given in labels]
            + [sum(n for (gold, given), n in wrong.items() if gold == one.label and given not in labels)],
        )
        for one in part.classes
    ]


def _badge(report: Report) -> str:
    """CSS classes of the verdict's badge; one that stands on no real row is not shown in the colour of success."""
    word = basis.bare(report.verdict.word)
    return f"{(word or 'none').lower().replace(' ', '-')}{' qualified' if report.verdict.qualifier else ''}"


def _span(comparisons: Sequence[Comparison], margin: float) -> tuple[float, float]:
    """The axis that all differences share: in steps of 5 points, with zero and the margin on it."""
    bounds = [bound for row in comparisons for bound in row.ci95]
    low, high = min([-1.5 * margin, *bounds]), max([1.5 * margin, 0.02, *bounds])
    return max(-1.0, math.floor(low * 20) / 20), min(1.0, math.ceil(high * 20) / 20)


def _swing_reach(sensitivity: Sensitivity) -> float:
    """How many times sooner or later the sensitivity bars can show: at least the swing itself."""
    base = sensitivity.requests or 1
    ratios = [after / base for swing in sensitivity.tornado for after in (swing.halved, swing.doubled) if after]
    return max([2.2, *(max(ratio, 1 / ratio) * 1.1 for ratio in ratios)])


def _heat(heat: Heat) -> list[dict[str, Any]]:
    """Cells with a colour strength by order of magnitude; [] when nothing is priced."""
    grid = heat.saving_usd_per_month
    sizes = [abs(value) for row in grid for value in row if value]
    if not sizes:
        return []
    most = math.log10(1 + max(sizes) / min(sizes))

    def cell(value: float | None) -> dict[str, Any]:
        if not value:
            return {"value": value, "css": "", "strength": 0}
        share = math.log10(1 + abs(value) / min(sizes)) / most if most else 1.0
        return {"value": value, "css": "gain" if value > 0 else "loss", "strength": round(8 + 42 * share)}

    return [
        {"use": use, "at": at, "cells": [cell(value) for value in row]}
        for at, (use, row) in enumerate(zip(heat.utilisation, grid, strict=True))
    ]


def _slider(report: Report) -> dict[str, float]:
    """Where the sliders start: the report's own figures."""
    start, volumes = report.what_if, report.monthly_volumes
    hourly = start.usd_per_hour or 0.0
    middle = sorted(volumes)[len(volumes) // 2] if volumes else 100_000
    return {
        "volume": round(math.log10(middle), 1),
        "use": round(100 * start.utilisation),
        "hourly": hourly,
        "hourly_top": max(5.0, 3 * hourly),
        "margin": 100 * report.margin,
    }


def _family_systems(report: Report) -> list[SystemPart]:
    """Small and large first, then others while there is room."""
    rank = {report.small: 0, report.large: 1}
    return sorted(report.systems, key=lambda system: rank.get(system.id, 2))[:FAMILY_SYSTEMS]


def _printed(items: Sequence[GalleryItem]) -> set[int]:
    """Places of the cases that are visible without JavaScript and on paper."""
    seen: dict[str, int] = {}
    kept = set()
    for place, item in enumerate(items):
        seen[item.kind] = seen.get(item.kind, 0) + 1
        if seen[item.kind] <= PRINTED_PER_KIND:
            kept.add(place)
    return kept


def _gallery_media(report: Report, root: Path | None) -> tuple[dict[str, list[Media]], int]:
    """Media of each example in the gallery, and how many were left out."""
    found: dict[str, list[Media]] = {}
    used, left_out = 0, 0
    for item in report.gallery.items if report.gallery else ():
        if item.example_id in found:
            continue
        loaded: list[Media] = []
        for path in item.media:
            if root and used < MEDIA_BUDGET:
                medium = embed(root, path)
                loaded += [*spectrogram(resolve_inside(root, path)), medium] if medium.kind == "audio" else [medium]
            else:
                loaded.append(Media("missing", why="not embedded"))
        used += sum(len(one.uri) for one in loaded)
        left_out += sum(one.kind == "missing" for one in loaded)
        found[item.example_id] = loaded
    return found, left_out


def embed(root: Path, path: str) -> Media:
    """A thumbnail or sound as a data: address. Never reads outside `root`; unreadable files say why."""
    try:
        file = resolve_inside(root, path)
    except DataError:
        return Media("missing", why="the file is not in the dataset")
    suffix = file.suffix.lower()
    if suffix in (".wav", ".flac", ".ogg", ".mp3"):
        if file.stat().st_size > LONGEST_AUDIO:
            return Media("missing", why="the sound is too long to embed")
        kind = {".mp3": "mpeg"}.get(suffix, suffix[1:])
        return Media("audio", f"data:audio/{kind};base64,{base64.b64encode(file.read_bytes()).decode()}")
    return _thumbnail(file)


def spectrogram(file: Path) -> list[Media]:
    """A picture of a recording, or none when it cannot be read; the player then says enough."""
    from synth.audio.files import read_audio
    from synth.audio.preview import spectrogram_png

    try:
        picture = spectrogram_png(read_audio(file), width_px=480, height_px=170)
    except DataError:
        return []
    return [Media("image", f"data:image/png;base64,{base64.b64encode(picture).decode()}")]


def _thumbnail(file: Path) -> Media:
    from PIL import Image

    try:
        with Image.open(file) as picture:
            if picture.width * picture.height > MOST_PIXELS:
                return Media("missing", why="the picture is too large to embed")
            small = picture.convert("RGB")
            small.thumbnail(THUMBNAIL)
            out = io.BytesIO()
            small.save(out, "PNG" if max(picture.size) <= 256 else "JPEG", quality=85)
    except (OSError, ValueError, Image.DecompressionBombError):
        return Media("missing", why="the picture cannot be read")
    kind = "png" if out.getvalue().startswith(b"\x89PNG") else "jpeg"
    return Media("image", f"data:image/{kind};base64,{base64.b64encode(out.getvalue()).decode()}")
