"""Claims about whose rows a verdict stands on, when none is given, and what is promised on it: in every output."""

import html
import json
import re
from pathlib import Path
from typing import Any

import pytest
from plausible import results

from evaluate.report import basis, decision, gate, headline, render_html, render_md, report_json
from evaluate.report.overlap import note as overlap_note
from evaluate.report.results import Results, Row
from evaluate.report.schema import Report
from evaluate.stats import power
from studio.read import glance, plain
from studio.read.results import headline as in_terminal
from synth.dataset import DatasetDir
from synth.importing.importer import Options, import_data
from synth.workspace import Workspace

pytestmark = pytest.mark.slow
ONLY = "On generated rows only"


def changed(original: Results, name: str, change: Any, split: str = "test") -> Results:
    """The same results with `change(index, row)` applied to one system's rows of a split."""
    systems = []
    for one in original.systems:
        rows = [row for row in one.rows if row.split == split]
        places = {row.example_id: at for at, row in enumerate(rows)}
        moved = tuple(change(places[row.example_id], row) if row.split == split else row for row in one.rows)
        systems.append(one.model_copy(update={"rows": moved}) if one.id == name else one)
    return original.model_copy(update={"systems": tuple(systems)})


def with_real(original: Results, share_right: dict[str, float], rows: int = 60, kind: str = "real") -> Results:
    """The same comparison with a split of real rows on which each system is right on another share."""
    systems = []
    for one in original.systems:
        made = [
            row.model_copy(
                update={
                    "split": "test_real",
                    "origin": kind,
                    "example_id": f"real{at}",
                    "template": f"real{at}",
                    "score": float((at * 7) % rows < rows * share_right[one.id]),
                }
            )
            for at, row in enumerate(one.rows[:rows])
        ]
        systems.append(one.model_copy(update={"rows": (*one.rows, *made)}))
    plan = original.plan.model_copy(update={"splits": ("test_real", "test", "test_ood")})
    dataset = original.dataset.model_copy(update={"splits": {"test_real": rows, **original.dataset.splits}})
    return original.model_copy(update={"systems": tuple(systems), "plan": plan, "dataset": dataset})


def outputs(report: Report, folder: Path) -> dict[str, str]:
    """Everything that is ever shown of a report, as plain text."""
    page = html.unescape(render_html.render(report))
    script = page.index("<script>")
    path = folder / "comparisons" / "one" / "report.json"
    path.parent.mkdir(parents=True)
    path.write_text(report_json.dumps(report), "utf-8")
    heads = glance.report_heads(Workspace(folder))
    checks = gate.check(report, ["delta_lower < 1", "verdict == 'BETTER'", "small < 2"])
    return {
        "html": re.sub(r"<[^>]+>", "", page[:script]).replace("\xa0", " "),
        "markdown": render_md.render(report).replace("\\", ""),
        "json": report_json.dumps(report),
        "terminal": in_terminal(report, path),
        "junit": html.unescape(gate.junit(report, checks)),
        "gate": "\n".join(check.sentence for check in checks),
        "studio": "\n".join(f"{head.verdict}\n{head.headline}" for head in heads),
    }


@pytest.mark.slow
def test_no_output_says_better_of_generated_rows_without_saying_so(tmp_path: Path) -> None:
    report = report_json.build(results(("base", "dpo", "large-few"), per_split=200))
    assert report.verdict.word == f"{ONLY}: BETTER"
    assert plain.sentence(report).startswith(f"{ONLY}: the tuned model is better than")
    for name, text in outputs(report, tmp_path).items():
        said = [text[max(0, found.start() - 40) : found.end()] for found in re.finditer("BETTER", text)]
        bare = [words for words in said if not words.endswith(f"{ONLY}: BETTER") and "== 'BETTER" not in words]
        assert bare == [], name
        assert ONLY in text, name
        assert not re.search(r"(?<!: )starter-text \+ invoices \(SFT, then DPO\) is better than", text), name


def test_every_statement_begins_with_whose_rows_it_is_about() -> None:
    report = report_json.build(results(("dpo", "large-few"), per_split=200))
    checks = gate.check(report, ["small < 0.5"])
    row = report.comparisons[0]
    for said in (report.headline, report.verdict.word, report.verdict.sentence, row.verdict, row.sentence):
        assert said is not None and said.startswith(f"{ONLY}: ")
    assert checks[0].sentence.startswith(f"{ONLY}: ")


def test_without_real_rows_a_box_says_how_many_would_decide_and_how_to_add_them() -> None:
    report = report_json.build(results(("dpo", "large-few"), per_split=200))
    note = report.real_rows_note
    assert note is not None
    assert "“smolstudio data real invoices FILE”" in note
    low, high = report.basis.real_rows_low, report.basis.real_rows_high
    assert low is not None and high is not None and 30 <= low <= high
    assert re.search(r"About [\d,]+( to [\d,]+)? real rows would decide", note)
    assert note in html.unescape(render_html.render(report))


def test_headline_verdict_tiles_gate_and_json_speak_of_the_real_rows_where_there_are_any(tmp_path: Path) -> None:
    worse = {"dpo": 0.3, "large-few": 0.8}
    report = report_json.build(with_real(results(("dpo", "large-few"), per_split=200), worse))
    assert (report.primary_split, report.basis.kind, report.basis.real_rows) == ("test_real", "real", 60)
    assert report.verdict.word == "WORSE", "the generated rows say BETTER"
    assert "of 60 real rows right; the prompted" in report.headline
    assert report.real_rows_note is None
    assert gate.figures(report)["small"] == pytest.approx(0.3, abs=0.01)
    assert gate.figures(report)["test.verdict"] == f"{ONLY}: BETTER"
    told = outputs(report, tmp_path)
    assert told["studio"].startswith("WORSE\nThe 5.3 M")
    assert "# invoices: WORSE" in told["markdown"]


@pytest.mark.parametrize("kind", ["real", "hand"])
def test_the_tile_of_generated_rows_says_so_and_never_that_they_are_others(tmp_path: Path, kind: str) -> None:
    made = with_real(results(("dpo", "large-few"), per_split=200), {"dpo": 0.3, "large-few": 0.8}, kind=kind)
    told = outputs(report_json.build(made), tmp_path)["html"]
    tiles = [line.strip() for line in told.splitlines() if re.search(r"small / large on test\b", line)]
    assert [tile.split("small /")[0] for tile in tiles] == [f"{ONLY}: "]


def test_the_gap_between_real_and_generated_is_a_figure_of_each_system_with_its_interval() -> None:
    report = report_json.build(with_real(results(("dpo", "large-few"), per_split=200), {"dpo": 0.3, "large-few": 0.8}))
    gaps = {gap.system: gap for gap in report.reality_gaps}
    small = report.small_system
    assert gaps["dpo"].gap == pytest.approx(small.splits["test_real"].value - small.splits["test"].value)  # type: ignore[operator]
    assert gaps["dpo"].ci95[0] < gaps["dpo"].gap < gaps["dpo"].ci95[1] < 0
    assert gaps["large-few"].gap > 0
    assert "Its reality gap, real minus generated: -6" in report.headline
    page = re.sub(r"<[^>]+>", "|", render_html.render(report))
    for gap in report.reality_gaps:
        assert f"{100 * gap.gap:+.1f} points" in page, "every system's gap is shown, the large one's too"


def test_newcombes_published_interval_is_that_of_the_gap() -> None:
    """Newcombe 1998, Statistics in Medicine 17, example 56/70 - 48/80, method 10: 0.0524 to 0.3339."""
    from evaluate.stats.intervals import wilson

    parts = []
    for right, n in ((56, 70), (48, 80)):
        rate = wilson(right, n)
        part = report_json.build(results(("dpo", "large-few"), per_split=40)).small_system.splits["test"]
        parts.append(part.model_copy(update={"value": rate.value, "ci95": (rate.low, rate.high)}))
    gap = basis.reality_gaps(
        [("one", {"test_real": parts[0], "test": parts[1]})], {"test_real": "real", "test": "template"}
    )[0]
    assert gap.ci95 == (pytest.approx(0.0524, abs=1e-4), pytest.approx(0.3339, abs=1e-4))


def test_a_split_of_mixed_origin_is_taken_apart_and_its_real_rows_decide() -> None:
    original = results(("dpo", "large-few"), per_split=200)
    mixed = original
    for name in ("dpo", "large-few"):
        mixed = changed(
            mixed, name, lambda at, row: row.model_copy(update={"origin": "real" if at < 50 else "template"})
        )
    report = report_json.build(mixed)
    assert report.dataset.splits == {"test.real": 50, "test.template": 150, "test_ood": 100}
    assert report.primary_split == "test.real"
    assert report.verdict.qualifier == ""


@pytest.mark.parametrize(
    ("kind", "begins"),
    [
        ("stand_in", "On stand-in rows only: "),
        ("hand", "On hand-written rows only: "),
        ("real", "The 5.3"),
        ("imported", "The 5.3"),
    ],
)
def test_a_stand_in_for_real_is_called_so(kind: str, begins: str) -> None:
    shares = {"dpo": 0.9, "large-few": 0.4}
    report = report_json.build(with_real(results(("dpo", "large-few"), per_split=80), shares, kind=kind))
    assert report.headline.startswith(begins)
    assert (report.real_rows_note is None) is (kind in ("real", "imported"))


def scored(row: Row, right: bool) -> Row:
    return row.model_copy(update={"score": float(right), "format_fault": False})


def both(original: Results, share: dict[str, float]) -> Results:
    """Both systems right on these shares of the test split, evenly spread."""
    for name, right in share.items():
        original = changed(original, name, lambda at, row, right=right: scored(row, (at * 37) % 200 < 200 * right))
    return original


def test_no_verdict_between_two_systems_that_are_right_on_next_to_nothing() -> None:
    report = report_json.build(both(results(("dpo", "large-few"), per_split=200), {"dpo": 0.04, "large-few": 0.0}))
    assert report.verdict.word == f"{ONLY}: WITHHELD"
    assert "Neither system is clearly above chance (4.0 % and 0.0 %" in report.verdict.sentence
    assert "no pay-back is stated, because the verdict is" in report.headline
    assert report.break_even.requests is None


def test_no_verdict_between_two_systems_near_the_commonest_answer() -> None:
    original = both(results(("dpo", "large-few"), per_split=200), {"dpo": 0.56, "large-few": 0.44})
    for name in ("dpo", "large-few"):
        original = changed(original, name, lambda at, row: row.model_copy(update={"gold": "yes" if at % 2 else "no"}))
    report = report_json.build(original)
    assert report.dataset.chance["test"] == 0.5
    assert basis.bare(report.verdict.word) == decision.WITHHELD
    assert "Neither system is clearly above chance" in report.verdict.sentence


def cut(at: int, row: Row, share: float, tail: str = " and so on without an end") -> Row:
    return row.model_copy(update={"truncated": at < 200 * share, "answer_text": f"Let me think: {at}{tail}"})


@pytest.mark.parametrize(("share", "withheld"), [(0.02, False), (0.025, True)])
def test_no_verdict_on_a_system_whose_answers_were_cut_off(share: float, withheld: bool) -> None:
    original = results(("dpo", "large-few"), per_split=200)
    report = report_json.build(changed(original, "large-few", lambda at, row: cut(at, row, share)))
    assert (basis.bare(report.verdict.word) == decision.WITHHELD) is withheld
    assert report.large_system is not None
    assert report.large_system.splits["test"].truncated == 200 * share
    if withheld:
        assert "5 of 200 answers of starter-text-large, 4 examples (2.5 %) were cut off" in report.verdict.sentence
        assert "raise max_new_tokens" in report.verdict.sentence
        assert "5 cut off" in re.sub(r"<[^>]+>", "", render_html.render(report))


def test_no_verdict_on_rows_that_may_have_been_learned_from() -> None:
    made = results(("dpo", "large-few"), per_split=200)
    plan = made.plan.model_copy(update={"splits": ("train",)})
    learned = tuple(
        one.model_copy(update={"rows": tuple(row.model_copy(update={"split": "train"}) for row in one.rows)})
        for one in made.systems
    )
    dataset = made.dataset.model_copy(update={"splits": {"train": len(learned[0].rows)}})
    report = report_json.build(made.model_copy(update={"plan": plan, "systems": learned, "dataset": dataset}))
    assert basis.bare(report.verdict.word) == decision.WITHHELD
    assert "may have been learned from" in report.verdict.sentence
    assert report.break_even.requests is None


def test_a_loop_is_no_want_of_room() -> None:
    original = results(("dpo", "large-few"), per_split=200)
    looping = changed(original, "large-few", lambda at, row: cut(at, row, 0.1, " and so on" * 40))
    report = report_json.build(looping)
    assert report.large_system is not None
    here = report.large_system.splits["test"]
    assert (here.truncated, here.looped) == (0, 20)
    assert basis.bare(report.verdict.word) == "BETTER"


def test_no_verdict_that_hangs_on_the_form_of_the_answers() -> None:
    original = both(results(("dpo", "large-few"), per_split=200), {"dpo": 0.9, "large-few": 0.6})
    unread = changed(original, "large-few", lambda at, row: row.model_copy(update={"format_fault": row.score == 0.0}))
    report = report_json.build(unread)
    assert basis.bare(report.verdict.word) == decision.WITHHELD
    assert "The verdict depends on the answer format" in report.verdict.sentence
    assert "80 of 200 answers of starter-text-large, 4 examples" in report.verdict.sentence
    assert report.large_system is not None
    assert report.large_system.splits["test"].value_if_format_forgiven == 1.0
    assert "100.0 % if the format is forgiven" in html.unescape(
        re.sub(r"<[^>]+>", "", render_html.render(report)).replace("\xa0", " ")
    )


@pytest.mark.parametrize(("failed", "withheld"), [(2, False), (120, True)])
def test_no_verdict_that_rows_without_an_answer_could_turn(failed: int, withheld: bool) -> None:
    original = both(results(("dpo", "large-few"), per_split=200), {"dpo": 0.9, "large-few": 0.6})
    dead = {"score": None, "error": "timed out"}
    report = report_json.build(
        changed(original, "large-few", lambda at, row: row.model_copy(update=dead if at < failed else {}))
    )
    assert (basis.bare(report.verdict.word) == decision.WITHHELD) is withheld
    assert f"({200 - failed} of them scored)" in report.headline
    if withheld:
        said = "The verdict depends on rows without an answer (120 of 200 of starter-text-large, 4 examples): BETTER"
        assert said in report.verdict.sentence
        assert report.break_even.requests is None


def test_word_errors_of_rows_without_a_transcript_count_with_a_typical_length() -> None:
    heard = (
        results(("dpo", "large-few"), per_split=40).systems[0].rows[0].model_copy(update={"edits": 2, "ref_units": 10})
    )
    lost = heard.model_copy(update={"score": None, "edits": None, "ref_units": None, "error": "timed out"})
    for right, edits in ((True, 0), (False, 10)):
        filled = decision.completed([heard, lost], right)[1]
        assert (filled.score, filled.edits, filled.ref_units) == (float(right), edits, 10)


def test_refused_and_unreadable_answers_are_counted_per_system() -> None:
    original = results(("dpo", "large-few"), per_split=200)
    refusing = changed(
        original, "large-few", lambda at, row: row.model_copy(update={"refused": at < 3, "readable": at >= 7})
    )
    here = report_json.build(refusing).large_system
    assert here is not None
    assert (here.splits["test"].refused, here.splits["test"].unreadable) == (3, 7)


def test_inconclusive_and_zero_promise_no_pay_back() -> None:
    alike = both(results(("dpo", "large-few"), per_split=200), {"dpo": 0.8, "large-few": 0.8})
    other_rows = changed(alike, "large-few", lambda at, row: scored(row, (at * 91 + 17) % 200 < 160))
    even = report_json.build(other_rows)
    assert basis.bare(even.verdict.word) == "INCONCLUSIVE"
    nothing = report_json.build(both(results(("dpo", "large-few"), per_split=200), {"dpo": 0.0, "large-few": 0.9}))
    assert basis.bare(nothing.verdict.word) == "WORSE"
    for report in (even, nothing):
        assert "earned back" not in report.headline
        assert report.break_even.status == "not_stated"
        assert set(report.break_even.months_at.values()) == {None}
        assert "earned back after" not in render_md.render(report)
        assert (report.sensitivity.requests, report.sensitivity.tornado) == (None, ())
        assert report.break_even.always_on.requests_per_month is report.break_even.error_price_usd is None
        page = render_html.render(report)
        for absent in ("Saved per month, by volume", "What the break-even depends on", 'class="chart money"'):
            assert absent not in page, absent
    assert "because “starter-text + invoices (SFT, then DPO)” gets nothing right" in nothing.headline


def test_the_table_of_differences_shows_the_whole_range_of_rows_that_would_decide() -> None:
    alike = both(results(("dpo", "large-few"), per_split=200), {"dpo": 0.8, "large-few": 0.8})
    report = report_json.build(changed(alike, "large-few", lambda at, row: scored(row, (at * 91 + 17) % 200 < 160)))
    main = report.main("test")
    assert main is not None
    assert main.rows_to_decide_range is not None
    said = power.in_words(power.RowsNeeded(**main.rows_to_decide_range.model_dump()), main.unit)
    assert " would decide" in said
    assert said in main.sentence
    assert f'<small data-from="comparisons/0/rows_to_decide_range">{said}</small>' in render_html.render(report)


def test_a_margin_that_was_moved_after_the_answers_is_marked_in_every_export(tmp_path: Path) -> None:
    moved = results(("dpo", "large-few"), per_split=200).model_copy(update={"margin_fixed": 0.05})
    report = report_json.build(moved)
    sentence = "The margin was moved from 5 to 2 points after answers existed."
    for name, text in outputs(report, tmp_path).items():
        if name not in ("gate", "studio"):
            assert sentence in text, name
    kept = report_json.build(results(("dpo", "large-few"), per_split=200).model_copy(update={"margin_fixed": 0.02}))
    assert "margin was moved" not in report_json.dumps(kept)


def test_a_dead_endpoint_is_named_as_such_with_its_reason() -> None:
    original = results(("dpo", "mini"), large="mini", per_split=60)
    dead = tuple(
        row.model_copy(update={"score": None, "error": "connection refused"}) for row in original.systems[1].rows
    )
    systems = (original.systems[0], original.systems[1].model_copy(update={"rows": dead}))
    report = report_json.build(original.model_copy(update={"systems": systems}))
    assert "“gpt-4o-mini” answered none of 90 rows (connection refused). Check its address" in report.verdict.sentence


def test_no_endpoint_is_said_only_where_none_took_part() -> None:
    with_one = report_json.build(results(("dpo", "large-few", "mini"), per_split=60))
    without = report_json.build(results(("dpo", "large-few"), per_split=60))
    assert "although “gpt-4o-mini” was asked too" in (with_one.stand_in_note or "")
    assert (without.stand_in_note or "").startswith("No endpoint took part")


def test_nothing_is_called_spent_on_tuning_where_nothing_was_tuned() -> None:
    report = report_json.build(
        both(results(("base", "large-few"), small="base", per_split=200), {"base": 0.9, "large-few": 0.3})
    )
    assert "tuning" not in headline.pay_back(report)
    assert "spent before its first answer" in headline.pay_back(report)
    assert "is earned back" in headline.pay_back(report)


def labelled(original: Results) -> Results:
    """The same comparison as if it sorted messages into three classes of unequal size, the rare one often missed."""
    golds = ("bill", "bill", "bill", "login", "login", "urgent")

    def change(at: int, row: Row, name: str) -> Row:
        gold = golds[at % 6]
        right = (at * 7) % 10 < (9 if name == "dpo" else 6) and not (gold == "urgent" and at % 4)
        answer = gold if right else golds[(at + 3) % 6] if at % 9 else "I cannot say"
        right = answer == gold
        return row.model_copy(
            update={
                "scorer": "exact",
                "gold": gold,
                "answer": answer,
                "answer_text": answer,
                "score": float(right),
                "format_fault": False,
            }
        )

    for name in ("dpo", "large-few"):
        original = changed(original, name, lambda at, row, name=name: change(at, row, name))
    return original


def test_classification_shows_macro_f1_in_a_tile_and_its_confusion_matrix() -> None:
    report = report_json.build(labelled(results(("dpo", "large-few"), per_split=240)))
    assert report.by_class is not None
    small = report.by_class.systems["dpo"]
    assert (report.by_class.majority_label, report.by_class.majority) == ("bill", 0.5)
    matrix = dict(render_html._confusion(small))
    assert [sum(counts) for counts in matrix.values()] == [120, 80, 40], "every row of every class is in it once"
    assert sum(counts[-1] for counts in matrix.values()) > 0, "replies that are no label have a column"
    page = html.unescape(re.sub(r"<[^>]+>", "", render_html.render(report))).replace("\xa0", " ")
    f1 = f"{100 * small.macro_f1:.1f} % / {100 * report.by_class.systems['large-few'].macro_f1:.1f} %"
    assert f1 in page
    assert "always “bill” is right in 50.0 %" in page
    assert "none of them" in page


def test_a_report_of_yesterday_is_listed_with_whose_rows_it_speaks_of(tmp_path: Path) -> None:
    folder = tmp_path / "comparisons" / "old"
    folder.mkdir(parents=True)
    old = Path(__file__).with_name("fixtures") / "report-version-1.json"
    (folder / "report.json").write_bytes(old.read_bytes())
    (head,) = glance.report_heads(Workspace(tmp_path))
    assert head.verdict.startswith(f"{ONLY}: ")
    assert head.headline.startswith(f"{ONLY}: ")


def test_an_undecided_report_names_one_number_of_rows_that_would_decide(tmp_path: Path) -> None:
    """Not one number of these rows in the verdict and another of real rows in the box beside it."""
    alike = both(results(("dpo", "large-few"), per_split=200), {"dpo": 0.8, "large-few": 0.8})
    report = report_json.build(changed(alike, "large-few", lambda at, row: scored(row, (at * 91 + 17) % 200 < 160)))
    main = report.main("test")
    assert main is not None and main.rows_to_decide_range is not None
    needed = main.rows_to_decide_range
    assert (report.basis.real_rows_low, report.basis.real_rows_high) == (needed.low, needed.high)
    said = power.in_words(power.RowsNeeded(**needed.model_dump()), main.unit)
    assert report.real_rows_note is not None
    assert f"On real rows, too, {said}, if they come out as these did." in report.real_rows_note
    numbers = re.findall(r"[\d,]+", said)
    everything = [*outputs(report, tmp_path).values(), plain.sentence(report)]
    for sentence in re.findall(r"[^.\n<>]*would decide", "\n".join(everything)):
        if "test_ood" not in sentence and "On real rows" in sentence:
            assert re.findall(r"\d[\d,]*", sentence)[-len(numbers) :] == numbers
    assert said[1:] in plain.sentence(report)


def overlap(near: int, apart: int = 0, equal: int = 0) -> dict[str, Any]:
    """A dataset's card as the import and the check for leakage leave it."""
    one = {"shared_templates": 0, "shared_media": 0, "same_wording": 0, "size_distance": None}
    pairs = [{"one": "train", "other": "test", "equal_prompts": equal, "near_duplicates": near, **one}]
    leakage = {"pairs": pairs, "digits": {}, "faults": [], "notes": []}
    near_duplicates = {"looked_for": "near", "groups": 2, "rows": 4, "apart": apart}
    return {"name": "invoices", "notes": {"leakage": leakage, "near_duplicates": near_duplicates}}


def test_tested_rows_that_training_nearly_shows_are_said_in_the_box_of_the_verdict(tmp_path: Path) -> None:
    original = results(("dpo", "large-few"), per_split=200)

    def told_by(card: dict[str, Any]) -> Report:
        return report_json.build(
            original.model_copy(update={"dataset": original.dataset.model_copy(update={"card": card})})
        )

    assert told_by({}).overlap_note is None
    assert told_by(overlap(0)).overlap_note is None, "kept on one side: nothing to say"
    report = told_by(overlap(3, apart=40))
    note = report.overlap_note
    assert note is not None
    assert note.startswith("3 rows of test say the same as a row of train, or nearly. 40 imported rows differ from")
    for name, output in outputs(report, tmp_path).items():
        assert (note in output) is (name not in ("studio", "gate")), name
    page = render_html.render(report)
    assert page.index('data-from="overlap_note"') < page.index("</section>"), "in the verdict's box"
    assert gate.junit(report, gate.check(report, ["small < 2"])).count("3 rows of test say the same") == 1


def test_an_import_that_let_near_duplicates_part_says_so_in_the_report(tmp_path: Path) -> None:
    rows = [
        {"question": f"What is the name of shop number {n // 2}{'!' * (n % 2)}", "answer": "yes"} for n in range(60)
    ]
    file = tmp_path / "rows.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    for parted in (False, True):
        space = Workspace(tmp_path / str(parted))
        import_data(file, "shops", space, Options(split_near_duplicates=parted))
        said = overlap_note(DatasetDir(space.datasets / "shops").card.model_dump(), ["test"])
        assert (said is not None) is parted, said
        assert said is None or "could part; “smolstudio data check shops” counts them" in said


def test_a_withheld_verdict_passes_no_gate_on_its_difference() -> None:
    original = results(("base", "dpo", "large-few"), per_split=200)
    report = report_json.build(changed(original, "large-few", lambda at, row: cut(at, row, 0.03)))
    assert decision.WITHHELD in (report.verdict.word or "")
    wanted = ["delta_lower < -0.02", "test.delta < 0", "delta_lower_one_sided < -0.02", "p_mcnemar > 0.05"]
    checks = gate.check(report, wanted)
    assert [one.failed for one in checks] == [True] * 4
    assert "carries no verdict (6 of 200 answers" in checks[0].sentence
    assert not gate.check(report, ["small < 0.1"])[0].failed
