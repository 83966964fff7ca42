"""report.md: the report for terminals, pull requests and chats; it says what report.json says, data escaped."""

from __future__ import annotations

import re

from evaluate.report import basis, prices_said
from evaluate.report.headline import pay_back
from evaluate.report.parts import Bounds, ByClass, Gallery, JudgePart, SplitSummary
from evaluate.report.record_parts import FieldFigures
from evaluate.report.render_html import visible
from evaluate.report.schema import Report
from evaluate.report.wording import MISSING, count, of_family, percent, points, scored, size, usd
from synth.scoring.scorers import metric as metric_facts

SHOWN = 3  # cases per kind
FIELD_HEAD = ("right", "missed", "wrong", "invented")


def plain(words: object) -> str:
    """One line in which no character of Markdown or HTML has a meaning."""
    line = " ".join(str(visible(str(words))).split())
    return re.sub(r"([\\`*_{}\[\]<>#|~&!])", r"\\\1", line)


def table(head: list[str], rows: list[list[str]]) -> list[str]:
    """A Markdown table."""
    return [f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *rows)] + [""]


def render(report: Report) -> str:
    """The whole report as Markdown."""
    lines = [f"# {plain(report.title)}: {report.verdict.word or 'no comparison'}", ""]
    lines += [plain(report.headline), "", plain(report.verdict.sentence), ""]
    for note in (report.real_rows_note, report.overlap_note, report.margin_note, report.stand_in_note):
        lines += [f"> {plain(note)}", ""] if note else []
    lines += ["## Systems", "", *systems_table(report), *_prompt(report), *_faults(report), *_gaps(report)]
    if report.exports:
        lines += ["## What exporting costs", "", *_exports(report)]
    if report.comparisons:
        lines += ["## How sure the difference is", "", *_comparisons(report)]
    if report.seeds:
        lines += ["## Luck of the seed", "", *_seeds(report)]
    if report.large:
        lines += ["## Money", "", plain(pay_back(report)), "", *_ledger(report)]
    if report.families and report.large:
        lines += ["## By family", "", *_families(report, report.large)]
    if report.by_class:
        lines += ["## By class", "", *_by_class(report.by_class, report)]
    if report.by_field:
        lines += ["## By field", "", *_by_field(report)]
    if report.gallery:
        lines += ["## Where they disagree", "", *_gallery(report.gallery)]
    if report.judge:
        lines += ["## What a judge model preferred", "", _judge(report.judge), ""]
    lists = (("Limits", report.limits), ("Not measured", report.not_measured), ("Assumed", report.assumptions))
    for title, sentences in lists:
        lines += [f"## {title}", "", *(f"- {plain(sentence)}" for sentence in sentences), ""]
    origin = report.provenance
    lines.append(f"Comparison {plain(origin.comparison_id)}, {plain(origin.created)}. Figures: report.json.")
    return "\n".join(lines) + "\n"


def systems_table(report: Report) -> list[str]:
    """One row per system: score with interval per split, price, speed."""
    splits = list(report.dataset.splits)
    rows = []
    for system in report.systems:
        cells = [system.splits[split] for split in splits]
        scores = [scored(c, 1) if c.value is not None else "unscored" for c in cells]
        rows.append(
            [
                plain(system.label)
                + (" (small)" if system.id == report.small else "")
                + (" (large)" if system.id == report.large else ""),
                *scores,
                prices_said.per_1k(system),
                prices_said.speed(system),
            ]
        )
    if report.human_usd_per_answer is not None:
        rows.append(["A person", *["not asked"] * len(splits), usd(1000 * report.human_usd_per_answer), "–"])
    metric = report.systems[0].metric
    label = metric_facts(metric).label
    named = [f"{split}: {basis.KINDS[report.basis.kinds[split]]} ({label})" for split in splits]
    return table(["System", *named, "USD per 1,000 answers", "answers/s"], rows)


def _prompt(report: Report) -> list[str]:
    """Which way of asking the large model the verdict is about, and how it was chosen."""
    found = report.prompt_choice
    if found is None:
        return []
    system = report.system(found.chosen)
    chosen, ways = plain(system.label if system else found.chosen), count(len(found.values))
    tested = "not tested" if found.on == "val" else "the tested ones"
    own = f", among them {_instructions(found.searched)} that the model wrote itself" if found.searched else ""
    return [
        f"The verdict is about {chosen}: of {ways} ways of asking the large model the strongest on {count(found.rows)} "
        f"rows of {found.on}, which are {tested}{own}.",
        "",
    ]


def _instructions(number: int) -> str:
    return "one instruction" if number == 1 else f"{count(number)} instructions"


def _faults(report: Report) -> list[str]:
    """Answers that were cut off, looped, refused or unreadable, and what forgiving the form would give."""
    rows = [
        [plain(system.label), split, *map(count, (h.truncated, h.looped, h.refused, h.unreadable)), forgiven]
        for system in report.systems
        for split, h in system.splits.items()
        if (forgiven := percent(h.value_if_format_forgiven) if h.format_faults else "") or faults_of(h)
    ]
    head = ["System", "split", "cut off", "loops", "refused", "unreadable", "score if format is forgiven"]
    return table(head, rows) if rows else []


def faults_of(here: SplitSummary) -> int:
    """Answers that were cut off, looped, were refused or could not be read."""
    return here.truncated + here.looped + here.refused + here.unreadable


def _gaps(report: Report) -> list[str]:
    rows = []
    for gap in report.reality_gaps:
        system = report.system(gap.system)
        low, high = (f"{100 * bound:+.1f}" for bound in gap.ci95)
        rows.append([plain(system.label if system else gap.system), f"{points(gap.gap)} [{low}, {high}]"])
    return table(["System", "reality gap (real − generated)"], rows) if rows else []


def _exports(report: Report) -> list[str]:
    """Each export in words, then what it takes beside the tuned model."""
    effects = [
        f"- {plain(one.sentence)} {count(one.same)} of {count(one.n)} texts are the same." for one in report.exports
    ]
    shown = dict.fromkeys(name for one in report.exports for name in (one.original, one.system))
    systems = [system for name in shown if (system := report.system(name))]
    rows = [
        [
            plain(one.label),
            plain(one.hardware),
            size(one.stored_bytes),
            size(one.memory_bytes),
            MISSING if one.tokens_per_s is None else f"{one.tokens_per_s:,.0f}",
            prices_said.speed(one),
            MISSING if one.cost.wh_per_1k is None else f"{one.cost.wh_per_1k:.3g} Wh",
        ]
        for one in systems
    ]
    head = ["System", "answers on", "weights", "memory at most", "tokens/s", "answers/s", "energy of 1,000 answers"]
    return [*effects, "", *table(head, rows)]


def _comparisons(report: Report) -> list[str]:
    small = report.small_system
    rows = []
    for row in report.comparisons:
        other = report.system(row.large)
        low, high = row.ci95
        rows.append(
            [
                plain(other.label) if other else "",
                row.split,
                f"{points(row.delta)} [{100 * low:+.1f}, {100 * high:+.1f}]",
                row.verdict,
                "–" if row.p_mcnemar is None else f"{row.p_mcnemar:.2g}",
            ]
        )
    head = [f"{plain(small.label) if small else ''} against", "split", "ahead by", "verdict", "McNemar p"]
    return table(head, rows)


def _seeds(report: Report) -> list[str]:
    """Mean and spread of the same recipe trained with other seeds."""
    rows = [
        [
            plain(one.group),
            one.split,
            count(one.n),
            _sure(one.mean, None if one.low is None or one.high is None else (one.low, one.high)),
            percent(one.sd),
            f"{percent(one.smallest)} to {percent(one.largest)}",
        ]
        for one in report.seeds
    ]
    return table(["Recipe", "split", "seeds", "mean", "standard deviation", "range"], rows)


def _ledger(report: Report) -> list[str]:
    lines = report.fixed_costs.items
    rows = [[plain(line.label), line.kind, line.status, usd(line.usd)] for line in lines]
    return table(["Spent on", "kind", "status", "USD"], rows) if rows else ["Nothing was recorded as spent.", ""]


def _families(report: Report, large: str) -> list[str]:
    rows = []
    for family in report.families:
        values = family.values
        rows.append(
            [
                plain(family.family),
                family.split,
                count(family.n),
                of_family(values[report.small]),
                of_family(values[large]),
                points(family.delta),
                "–" if family.p_holm is None else f"{family.p_holm:.2g}",
            ]
        )
    counts = [
        f"- {split}: ahead in {c.ahead}, level in {c.level}, behind in {c.behind} of {c.compared} "
        f"{'family' if c.compared == 1 else 'families'}; mean over families {points(c.mean_delta)}"
        for split, c in report.family_counts.items()
    ]
    return [*counts, "", *table(["Family", "split", "rows", "small", "large", "ahead by", "p (Holm)"], rows)]


def _by_class(part: ByClass, report: Report) -> list[str]:
    rows = []
    for name, found in part.systems.items():
        system, weakest = report.system(name), min(found.classes, key=lambda one: one.recall)
        low, high = found.ci95
        rows.append(
            [
                plain(system.label if system else name),
                f"{percent(found.macro_f1)} [{100 * low:.1f}, {100 * high:.1f}]",
                f"{percent(weakest.recall, 0)} of {plain(weakest.label)}",
            ]
        )
    said = f"The same answer to every row of {part.split} is right in {percent(part.majority)}."
    return [said, "", *table(["System", "macro-F1", "recall of its weakest class"], rows)]


def _by_field(report: Report) -> list[str]:
    """Per split: whole records of every system, then the fields of the small system beside the large one's."""
    lines = []
    for part in report.by_field:
        whole = [
            [
                plain(found.label if (found := report.system(name)) else name),
                _sure(one.exact, one.exact_ci95),
                "not measured" if one.valid is None else _sure(one.valid, one.valid_ci95),
            ]
            for name, one in part.systems.items()
        ]
        lines += [f"On {part.split}:", "", *table(["System", "every field right", "obeys the schema"], whole)]
        sides = [part.systems[name] for name in (report.small, report.large) if name in part.systems]
        head = ["Field", *(f"{side}: {what}" for side in ("small", "large")[: len(sides)] for what in FIELD_HEAD)]
        rows = [
            [plain(one.field), *(cell for side in sides for cell in _field_cells(side.figures(one.field)))]
            for one in sides[0].fields
        ]
        lines += table(head, rows)
    return lines


def _field_cells(one: FieldFigures | None) -> list[str]:
    if one is None:
        return ["unscored"] * len(FIELD_HEAD)
    return [
        _sure(one.accuracy, one.accuracy_ci95),
        f"{one.missed} of {one.filled}",
        f"{one.wrong} of {one.filled}",
        f"{one.invented} of {one.empty}",
    ]


def _sure(value: float, bounds: Bounds | None) -> str:
    return percent(value) if bounds is None else f"{percent(value)} [{100 * bounds[0]:.1f}, {100 * bounds[1]:.1f}]"


def _judge(judge: JudgePart) -> str:
    agreement = percent(judge.agreement_of_orders.share)
    people = percent(judge.calibration.share) if judge.calibration else "not measured"
    low, high = judge.ci95
    return (
        f"{plain(judge.model)} on {count(judge.judged)} of {count(judge.pairs_in_all)} pairs: "
        f"small ahead by {points(judge.ahead)} "
        f"[{100 * low:+.1f}, {100 * high:+.1f}]; same choice in both orders {agreement}; agreement with people "
        f"{people}; {count(judge.suspicious_pairs)} pairs seem to address the judge. A judge is not ground truth."
    )


def _gallery(gallery: Gallery) -> list[str]:
    lines = []
    for split, counts in gallery.counts.items():
        said = ", ".join(f"{kind.replace('_', ' ')}: {count(number)}" for kind, number in counts.items())
        lines.append(f"- {split}: {said}")
    lines.append("")
    for kind in ("only_small", "only_large", "both_wrong"):
        for item in [item for item in gallery.items if item.kind == kind][:SHOWN]:
            small, large = plain(item.small.answer), plain(item.large.answer)
            lines.append(
                f"- {kind.replace('_', ' ')}: {plain(item.prompt)} — right: {plain(item.gold)}; "
                f"small: {small or 'none'}; large: {large or 'none'}"
            )
    return [*lines, ""]
