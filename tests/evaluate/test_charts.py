"""Claims about the drawings of a report."""

import re
from itertools import combinations

from plausible import results

from evaluate.report import charts, report_json
from evaluate.report.schema import Report


def test_names_in_the_pareto_plot_lie_neither_on_each_other_nor_outside() -> None:
    made = report_json.build(results(per_split=120))
    systems = {system.id: system for system in made.systems}
    large, small = systems[made.large or ""], systems[made.small]
    twin = small.model_copy(update={"id": "twin", "label": "The same with preference tuning"})
    priced = large.cost.model_copy(update={"usd_per_1k": (small.cost.usd_per_1k or 0) * 1.3})
    near = large.model_copy(update={"id": "near", "cost": priced, "splits": small.splits})
    drawn = charts.pareto(made.model_copy(update={"systems": (*made.systems, twin, near)}))
    assert drawn
    found = re.findall(r'<text x="([\d.]+)" y="([\d.]+)" text-anchor="(\w+)" class="label \w+">([^<]+)<', str(drawn))
    assert len(found) == len(made.systems) + 2
    boxes = []
    for at, height, anchor, name in found:
        left = float(at) - (7 * len(name) if anchor == "end" else 0)
        boxes.append((left, left + 7 * len(name), float(height)))
        assert left >= 0 and left + 7 * len(name) <= charts.WIDTH
    for a, b in combinations(boxes, 2):
        assert a[1] <= b[0] or b[1] <= a[0] or abs(a[2] - b[2]) >= 12


def test_a_word_error_rate_above_one_stays_inside_the_plot() -> None:
    said = report_json.build(results(per_split=120)).model_dump(mode="json")
    for system, value in zip(said["systems"], (1.3, 0.15, 1.1, 0.2), strict=False):
        system["metric"] = "wer"
        system["splits"]["test"].update(value=value, ci95=[value - 0.05, value + 0.05])
    drawn = str(charts.pareto(Report.model_validate(said)))
    assert "word error rate (lower is better)" in drawn
    heights = [
        float(at) for ends in re.findall(r'class="whisker" d="M[\d.]+ ([\d.-]+)V([\d.-]+)', drawn) for at in ends
    ]
    assert heights
    assert min(heights) >= charts.TOP
