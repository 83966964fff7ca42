"""A finished comparison: its report, every row where two systems differ, and its files to download."""

from __future__ import annotations

from pathlib import Path

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from evaluate.report import basis
from evaluate.report.reading import read_report
from evaluate.report.schema import Report
from studio.presets.glossary import terms_in
from studio.read import advice, disagreements, plain
from studio.read.disagreements import Case
from studio.read.rows import read_at
from studio.views import verdict_mistakes
from studio.widgets import address, manage, ui
from studio.widgets.media import ReadMedia, show_medium
from synth.dataset import DatasetDir
from synth.storage import JsonDict

FILES = {"report.html": "text/html", "report.md": "text/markdown", "report.json": "application/json"}
PARTS = {"report": "Report", "mistakes": "Mistakes", "rows": "Row by row"}
PARAMS = ("comparison", "part", "first", "second", "kind", "split", "family", "row", "label")
"""What of the address concerns a comparison that is shown."""
KIND_TITLES = {
    "only_small": "only the first is right",
    "only_large": "only the second is right",
    "both_wrong": "neither is right",
    "both_right": "both are right",
    "unscored": "unscored",
}
PLACES = {
    "views/train.py": "To Train",
    "views/compare.py": "To Mistakes",
    "import": "To Import",
    "task": "To its task",
    "real": "To its real rows",
}
"""Where advice leads, by page or tab."""
REPORT_PX = 1600
PAGE = 10


def show(comparison: str, line: DeltaGenerator) -> None:
    """The comparison of that id, with its buttons on `line`; a sentence when it has no report."""
    folder = ui.workspace().comparisons / comparison
    if Path(comparison).name != comparison or not folder.is_dir():
        ui.show_error(f"There is no comparison '{comparison}' here.", "Choose one under Compare, or start one there.")
        return
    if not (folder / "report.json").is_file():
        ui.show_error(f"The comparison '{comparison}' has no report yet.", "Run it again: answers so far are kept.")
        return
    report = read_report(folder / "report.json")
    _take_along(folder, line)
    with line:
        manage.menu("comparisons", comparison)
    manage.about("comparisons", comparison)
    _in_plain_words(report, folder)
    _next(report)
    part = address.tabs("Show", list(PARTS), "part", PARTS.__getitem__)
    if part == "rows":
        _rows(folder)
    elif part == "mistakes":
        verdict_mistakes.render(folder, report)
    else:
        st.caption(
            "The sliders under **Cost and pay-back** price it anew as you move them. For a PDF: **Print or save as "
            "PDF** below, then *Save as PDF* as the printer."
        )
        st.iframe(folder / "report.html", height=REPORT_PX)
        _words(report)


def _in_plain_words(report: Report, folder: Path) -> None:
    """The verdict as one sentence, and what to do where it is weak; the statistics are below."""
    word = basis.bare(report.verdict.word)
    box = {"BETTER": st.success, "NOT WORSE": st.success, "WORSE": st.error}.get(word or "", st.warning)
    (box if plain.tells_what_to_use(report) or box is not st.success else st.info)(
        f"**{ui.inert(plain.sentence(report))}**", icon=":material/gavel:"
    )
    found = advice.advise(report, ui.workspace(), folder / "scores.jsonl")
    if found:
        st.markdown("##### What would help")
    for number, one in enumerate(found):
        left, right = st.columns([6, 1], vertical_alignment="center")
        left.markdown(f"{number + 1}. {ui.inert(one.text)}")
        if one.page:
            with right:
                label = PLACES[one.where.get("tab", one.page)]
                st.page_link(one.page, label=label, icon=":material/arrow_forward:", query_params=one.where)


def _next(report: Report) -> None:
    """After a verdict: on to the model's use."""
    small = report.small_system
    if small.adapter and (ui.workspace().runs / small.adapter).is_dir():
        with st.container(horizontal=True):
            use = {"run": small.adapter}
            st.page_link("views/use.py", label="Use it", icon=":material/rocket_launch:", query_params=use)
            ways = {"file": "Answer a file", "export": "Export", "serve": "Serve", "share": "Share"}
            for way, title in ways.items():
                st.page_link("views/use.py", label=title, query_params={**use, "way": way})


def _take_along(folder: Path, line: DeltaGenerator) -> None:
    for name, mime in FILES.items():
        file = folder / name
        if file.is_file():
            label = f"Download {file.suffix[1:].upper()}"
            line.download_button(label, file.read_bytes(), name, mime, icon=":material/download:", on_click="ignore")
    help_text = "Prices change: take those of Settings as they are now. Accuracy stays as it was measured."
    if line.button("Price again", icon=":material/payments:", help=help_text):
        from evaluate.compare import render_again

        render_again(folder / "report.json", ui.workspace(), reprice=True)
        ui.flash("Priced as Settings has it now")
        st.rerun()


def _words(report: Report) -> None:
    """The words of the field that this report uses, each a link to what it means."""
    said = (report.verdict.word or "", report.verdict.sentence, report.headline, *report.notes, *report.limits)
    used = ["Confidence interval", "Margin", *terms_in(" ".join(said))]
    if report.by_class:
        used += ["Macro-F1", "Recall", "F1", "Confusion matrix"]
    st.markdown("**What the words mean**")
    with st.container(horizontal=True):
        for term in dict.fromkeys(used):
            st.page_link("views/glossary.py", label=term, query_params={"term": term})


def _rows(folder: Path) -> None:
    """Every row that two systems answered, filtered and paged."""
    scores = folder / "scores.jsonl"
    if not scores.is_file():
        ui.show_error("This comparison kept no scores.", "Run it again: answers so far are kept.")
        return
    report = read_report(folder / "report.json")
    names = {system.id: system.label for system in report.systems}
    order = [s for s in (report.small, report.large, *disagreements.systems(scores)) if s in names]
    order = list(dict.fromkeys(order))
    if len(order) < 2:
        ui.empty("Nothing to compare row by row", "Only one system answered.")
        return
    left, right = st.columns(2)
    with left:
        small = address.menu("First", order, "first", ("row",), names.__getitem__)
    with right:
        large = address.menu("Second", [s for s in order if s != small], "second", ("row",), names.__getitem__)
    found = _filtered(disagreements.cases(scores, small, large))
    pages = max(1, -(-len(found) // PAGE))
    page = address.number("Page", 1, pages, "row") if pages > 1 else 1
    if not found:
        ui.empty("No such row", "Choose another outcome above, or any split and family.")
        return
    st.caption(f"{len(found):,} rows · page {page} of {pages}")
    root = ui.workspace().path / report.dataset.path

    def read(path: str) -> bytes:
        return DatasetDir(root).media_path(path).read_bytes()

    for case in found[(page - 1) * PAGE : page * PAGE]:
        _case(case, read_at(scores, (case.small, case.large)), (names[small], names[large]), read)


def _filtered(cases: list[Case]) -> list[Case]:
    counts = {kind: sum(case.kind == kind for case in cases) for kind in disagreements.ALL_KINDS}
    first, second, third = st.columns(3)
    with first:
        kind = address.menu(
            "Outcome",
            sorted(counts, key=lambda kind: not counts[kind]),  # one that has rows first
            "kind",
            ("row",),
            lambda kind: f"{KIND_TITLES[kind]} ({counts[kind]:,})",
        )
    with second:
        splits = sorted({case.split for case in cases})
        split = address.menu("Split", ["", *splits], "split", ("row",), lambda split: split or "any")
    with third:
        families = sorted({case.family for case in cases})
        family = address.menu("Family", ["", *families], "family", ("row",), lambda family: family or "any")
    return [c for c in cases if c.kind == kind and split in ("", c.split) and family in ("", c.family)]


def _case(case: Case, rows: list[JsonDict], names: tuple[str, str], read: ReadMedia) -> None:
    with st.container(border=True):
        st.caption(f"{ui.inert(case.family)} · {ui.inert(case.split)} · {ui.inert(case.example_id[:8])}")
        for path in rows[0]["media"]:
            show_medium(path, read)
        if rows[0]["prompt_text"]:
            st.text(rows[0]["prompt_text"])
        st.markdown(f"**Right:** {ui.inert(rows[0]['gold'])}")
        for column, row, name in zip(st.columns(2), rows, names, strict=True):
            with column:
                st.markdown(f"**{ui.inert(name)}** · {_scored(row['score'])}")
                st.code(row["answer_text"] or row["error"] or " ", language=None, wrap_lines=True)
                st.caption(ui.inert(row["why"]))


def _scored(score: float | None) -> str:
    """A row's score in a word where it is all or nothing."""
    return "unscored" if score is None else {1.0: "right", 0.0: "wrong"}.get(score, f"{score:.2f}")
