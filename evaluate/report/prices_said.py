"""How prices and pay-backs are said: with their intervals, with what is not in them, or why they are not said.

Reads a Report only; computes nothing new. The sentence that these make up is the headline's.
"""

from __future__ import annotations

from collections.abc import Sequence

from evaluate.report.money import Cost
from evaluate.report.schema import Report, SystemPart
from evaluate.report.wording import MISSING, count, usd

NOT_STATED = "not stated"
REMEDY = "Start the comparison again when the machine is quiet: answers are kept, speed is measured anew."


def each_costs(report: Report) -> str:
    """'1,000 answers cost $0.19 [$0.17, $0.21] against $3.50'. Both systems must be priced."""
    small, large = report.small_system, report.large_system
    assert large is not None
    return f"1,000 answers cost {per_1k(small)} against {per_1k(large)}"


def per_1k(system: SystemPart) -> str:
    """The price of 1,000 answers with its interval, or that there is none."""
    return with_bounds(figure(system.cost, system.cost.usd_per_1k), system.cost.usd_per_1k_ci95)


def figure(cost: Cost, value: float | None, missing: str = "unpriced") -> str:
    """A figure of a system's cost; a cost that is withheld has none. Every output says its prices with this."""
    return usd(value, NOT_STATED if cost.kind == "withheld" else missing)


def speed(system: SystemPart) -> str:
    """Answers per second with their interval; of a speed that does not hold only from where to where it varied."""
    if system.requests_per_s is None:
        return MISSING
    if system.speed is None:
        return f"{system.requests_per_s:.3g}"
    low, high = f"{system.speed.low:.3g}", f"{system.speed.high:.3g}"
    return f"{system.requests_per_s:.3g} [{low}, {high}]" if system.speed.holds else f"{low} to {high}"


def spent(report: Report) -> str:
    """The fixed cost; with what it could have been at least, where other programs lengthened machine time."""
    fixed = report.fixed_costs
    if fixed.fixed_usd is None or fixed.fixed_quiet_usd is None:
        return usd(fixed.fixed_usd)
    return with_bounds(usd(fixed.fixed_usd), (fixed.fixed_quiet_usd, fixed.fixed_usd))


def with_bounds(said: str, bounds: Sequence[float | None] | None) -> str:
    """A sum of money with its interval, where it has one."""
    if bounds is None or bounds[0] is None or bounds[1] is None or usd(bounds[0]) == usd(bounds[1]):
        return said
    return f"{said} [{usd(bounds[0])}, {usd(bounds[1])}]"


def no_price(report: Report) -> str:
    """That a price is not stated, why, and what to do; "" when it may be."""
    if report.break_even.price_holds:
        return ""
    return (
        f"What an answer costs is not stated, because the speed that it rests on does not hold: "
        f"{report.break_even.reason}. {REMEDY}"
    )


def earned_back(report: Report) -> str:
    """'the $0.25 spent on tuning (labelling not stated) is earned back after 75 requests [60, 95]'."""
    even = report.break_even
    after = f"{count(even.requests)} requests"
    if even.requests_ci95 is not None and even.requests_ci95 != (even.requests, even.requests):
        low, high = even.requests_ci95
        after += f" [{count(low)}, {count(high) if high is not None else 'never'}]"
    missing = joined(report.fixed_costs.not_stated)
    left_out = f" ({missing} not stated)" if missing else ""
    what = "spent on tuning" if report.small_system.adapter else "spent before its first answer"
    return f"the {spent(report)} {what}{left_out} is earned back after {after}"


def not_stated(report: Report) -> list[str]:
    """A sentence on the costs that the plan leaves out; [] when it names all."""
    missing = joined(report.fixed_costs.not_stated)
    if not missing:
        return []
    return [
        f"What {missing} cost is not stated (`costs` in the plan; 0 = nothing), so it is in no fixed cost and no "
        "break-even."
    ]


def assumptions(report: Report) -> list[str]:
    """What prices take for granted: how speed was measured, and what a person costs."""
    said = []
    speeds = [system.speed for system in report.systems if system.speed is not None]
    if speeds and speeds[0].basis == "cpu":
        said.append(
            f"Speed was measured in turns over {speeds[0].rounds} rounds on the same {speeds[0].prompts} prompts, in "
            f"processor time of one thread; a machine of {speeds[0].cores} cores is taken to serve as many processes "
            f"at that speed. Other programs used {100 * max(one.others_share for one in speeds):.0f} % of it meanwhile."
        )
    elif speeds:
        said.append(
            f"Speed was measured in turns over {speeds[0].rounds} rounds on the same {speeds[0].prompts} prompts, by "
            "the clock."
        )
    if report.human_usd_per_answer is not None:
        price = report.human_usd_per_answer
        said.append(f"A person's answer costs {usd(price)} according to the plan, {usd(1000 * price)} per 1,000.")
    return said


def joined(names: Sequence[str]) -> str:
    """'a, b and c'."""
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else list(names))
