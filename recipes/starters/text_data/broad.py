"""The larger starter's families: all of the small one's and a broad set on bills, rates, mixtures and schedules.

The broad set has its own wordings and formats; it shares none with the project's math generator (a test compares).
"""

from collections.abc import Mapping

from recipes.starters.text_data import FAMILIES
from recipes.starters.text_data.broad_bills import BILLS
from recipes.starters.text_data.broad_more import MORE, noisy
from recipes.starters.text_data.broad_rates import RATES
from recipes.starters.text_data.broad_schedules import SCHEDULES
from recipes.starters.text_data.fewshot import Generator

Weighted = Mapping[str, tuple[tuple[Generator, float], ...]]
# How often the small starter's families are drawn, against their weights there; the broad set adds up to about 84.
OWN_WEIGHT = 0.35

BROAD: Weighted = {
    name: tuple((noisy(generate), weight) for generate, weight in pairs)
    for name, pairs in {**BILLS, **RATES, **SCHEDULES, **MORE}.items()
}
UNION: Weighted = {
    **{name: tuple((generate, weight * OWN_WEIGHT) for generate, weight in pairs) for name, pairs in FAMILIES.items()},
    **BROAD,
}
