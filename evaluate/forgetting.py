"""What tuning cost elsewhere: base and tuned model on the base's own training families, the same fresh rows.

Known for embedded starters only, whose families can be generated anew; for other bases it is "not measured".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from evaluate.plan import SystemPlan
from evaluate.predict.prediction import Prediction
from evaluate.report.results import Forgetting, Remembered
from synth.example import Example
from synth.scoring.scorers import score_reply

Answer = Callable[[SystemPlan, Sequence[Example]], Mapping[str, Prediction]]


def measure(plans: Sequence[SystemPlan], rows: int, answer: Answer) -> tuple[Forgetting, ...]:
    """Forgetting of every local system with an adapter on a starter. `answer` runs and journals a plan on rows."""
    found = []
    for plan in plans:
        examples = _rows_for(plan, rows)
        if examples:
            base = plan.model_copy(update={"id": f"base-of-{plan.id}", "label": f"{plan.name}: base", "adapter": None})
            plain = [p.model_copy(update={"prompting": "zero_shot", "instruction": ""}) for p in (base, plan)]
            before, after = (_right(answer(each, examples), examples) for each in plain)
            found.append(_compared(plan.id, examples, before, after))
    return tuple(found)


def _rows_for(plan: SystemPlan, rows: int) -> list[Example]:
    if plan.kind != "local" or not plan.adapter:
        return []
    from recipes.models.files import resolve
    from recipes.train.replay import forgetting_rows

    ref = resolve(plan.model, plan.revision)
    return forgetting_rows(ref, rows) if ref.kind == "starter" else []


def _right(predictions: Mapping[str, Prediction], examples: Sequence[Example]) -> dict[str, bool]:
    """Whether each row is right in full: partial scores count as wrong."""
    return {
        example.id: score_reply(predictions[example.id].text, example).value == 1.0
        for example in examples
        if example.id in predictions
    }


def _compared(system: str, examples: Sequence[Example], before: dict[str, bool], after: dict[str, bool]) -> Forgetting:
    return Forgetting(
        system_id=system,
        rows=tuple(
            Remembered(
                family=example.family, template=example.template, base=before[example.id], tuned=after[example.id]
            )
            for example in examples
            if example.id in before and example.id in after
        ),
    )
