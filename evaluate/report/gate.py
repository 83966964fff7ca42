"""Gates for continuous integration: `smolstudio compare --fail-if "delta_lower < -0.02" --junit out.xml`.

A tiny expression language over a report's figures, parsed here (never evaluated as Python): numbers, quoted words,
names, `< <= > >= == !=`, `and or not`, parentheses. Names belong to the split that the verdict is about; another
split's come as `test_ood.delta_lower`. A figure that is missing fails the gate: silence must not pass a build.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple
from xml.etree import ElementTree

from evaluate.report.basis import bare, qualified
from evaluate.report.schema import Report
from synth.errors import RecipeError, did_you_mean

Value = float | str | None
TOKEN = re.compile(
    r"\s*(?:(-?\d+(?:\.\d*)?(?:[eE][-+]?\d+)?)|(\"[^\"]*\"|'[^']*')|(<=|>=|==|!=|<|>|\(|\))|([A-Za-z_][\w.]*))"
)
COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
}


class Check(NamedTuple):
    """One expression, whether it fails the build, and why in a sentence."""

    expression: str
    failed: bool
    sentence: str


class Missing(Exception):
    """A figure that the expression needs was not measured; the message is its name."""


class Unqualified(Exception):
    """A verdict is compared with a bare word, though it stands on no real row; the message is the whole verdict."""


def figures(report: Report) -> dict[str, Value]:
    """Every name that an expression may use."""
    primary, found = report.primary_split, dict[str, Value]()
    for split in report.dataset.splits:
        main = report.main(split)
        judged = None if main is None or main.withheld else main  # a difference that carries no verdict passes no build
        here: dict[str, Value] = {
            "delta": judged.delta if judged else None,
            "delta_lower": judged.ci95[0] if judged else None,
            "delta_upper": judged.ci95[1] if judged else None,
            "delta_lower_one_sided": judged.lower_one_sided95 if judged else None,
            "p_mcnemar": judged.p_mcnemar if judged else None,
            "rows": main.n if main else None,
            "verdict": main.verdict if main else None,  # with its qualifier: a build cannot pass on BETTER by oversight
        }
        for side, system in (("small", report.small_system), ("large", report.large_system)):
            cell = system.splits.get(split) if system else None
            here[side] = cell.value if cell else None
            here[f"{side}_lower"] = cell.ci95[0] if cell and cell.ci95 else None
            here[f"{side}_unscored"] = cell.unscored if cell else None
            here[f"{side}_truncated"] = cell.truncated if cell else None
        found.update({f"{split}.{name}": value for name, value in here.items()})
        if split == primary:
            found.update(here)
    found.update(_money(report))
    return found


def _money(report: Report) -> dict[str, Value]:
    start, even = report.what_if, report.break_even
    small, large = start.small_usd_per_request, start.large_usd_per_request
    return {
        "small_usd_per_1k": None if small is None else 1000 * small,
        "large_usd_per_1k": None if large is None else 1000 * large,
        "fixed_usd": even.fixed_usd,
        "break_even_requests": float("inf") if even.status == "never" else even.requests,
        "real_rows": float(report.basis.real_rows),
        "p_cheaper_and_not_worse": even.p_cheaper_and_not_worse,
    }


def check(report: Report, expressions: Sequence[str]) -> list[Check]:
    """Try each expression. Raises RecipeError for one that cannot be read; a missing figure counts as failed."""
    known, checks, kind = figures(report), [], report.basis.kind
    for expression in expressions:
        parser = Parser(expression, known)
        try:
            failed = parser.parse()
        except Missing as missing:
            sentence = f"{_why_missing(report, str(missing))}, so “{expression}” cannot be ruled out."
            checks.append(Check(expression, True, qualified(kind, sentence)))
            continue
        except Unqualified as whole:
            sentence = f"the verdict is “{whole}”: compare with that in “{expression}”, or test real rows."
            checks.append(Check(expression, True, qualified(kind, sentence)))
            continue
        used = ", ".join(f"{name} = {_shown(known[name])}" for name in parser.used)
        sentence = f"“{expression}” is {'true' if failed else 'false'} ({used})."
        checks.append(Check(expression, failed, qualified(kind, sentence)))
    return checks


def _why_missing(report: Report, name: str) -> str:
    """That a figure was not measured, or that it is of a difference whose verdict is withheld, and why."""
    split, _, figure = name.rpartition(".")
    main = report.main(split or report.primary_split)
    if main is None or not main.withheld or not figure.startswith(("delta", "p_mcnemar")):
        return f"{name} is not measured"
    return f"{name} carries no verdict ({' '.join(main.withheld).rstrip('.')})"


def _shown(value: Value) -> str:
    return f"{value:.6g}" if isinstance(value, int | float) else str(value)


class Parser:
    """Recursive descent over one expression: or < and < not < comparison < value. Every part is read, even where the
    outcome is already certain, so that a misspelt name never hides."""

    def __init__(self, expression: str, known: dict[str, Value]) -> None:
        self.expression = expression
        self.known = known
        self.used: list[str] = []
        self.tokens = self._split()
        self.at = 0

    def _split(self) -> list[str]:
        tokens, place = [], 0
        text = self.expression.rstrip()
        while place < len(text):
            match = TOKEN.match(text, place)
            if match is None:
                raise self._fault(f"“{text[place:].strip()[:20]}” is not understood")
            tokens.append(match.group().strip())
            place = match.end()
        return tokens

    def _fault(self, what: str) -> RecipeError:
        message = f"The condition “{self.expression}” cannot be read: {what}."
        return RecipeError(message, 'Write for example "delta_lower < -0.02 or small < 0.9".', "gate.expression")

    def _take(self, *wanted: str) -> str | None:
        token = self.tokens[self.at] if self.at < len(self.tokens) else None
        if token is None or (wanted and token not in wanted):
            return None
        self.at += 1
        return token

    def parse(self) -> bool:
        """The truth of the whole expression."""
        result = self._either()
        if self.at < len(self.tokens):
            raise self._fault(f"“{self.tokens[self.at]}” is left over")
        return result

    def _either(self) -> bool:
        result = self._both()
        while self._take("or"):
            result = self._both() or result
        return result

    def _both(self) -> bool:
        result = self._negated()
        while self._take("and"):
            result = self._negated() and result
        return result

    def _negated(self) -> bool:
        if self._take("not"):
            return not self._negated()
        if self._take("("):
            result = self._either()
            if not self._take(")"):
                raise self._fault("a parenthesis is not closed")
            return result
        return self._comparison()

    def _comparison(self) -> bool:
        left = self._value()
        sign = self._take(*COMPARE)
        if sign is None:
            raise self._fault("a comparison such as < is missing")
        right = self._value()
        if isinstance(left, str) != isinstance(right, str):
            raise self._fault("a word is compared with a number")
        for known, asked in ((left, right), (right, left)):
            if isinstance(known, str) and known != asked and bare(known) != known and bare(str(asked)) == asked:
                raise Unqualified(known)
        return COMPARE[sign](left, right)

    def _value(self) -> float | str:
        token = self._take()
        if token is None or token in COMPARE or token in ("(", ")", "and", "or", "not"):
            raise self._fault("a name or number is missing")
        if token[0] in "\"'":
            return token[1:-1]
        if token[0].isdigit() or token[0] == "-":
            return float(token)
        if token not in self.known:
            raise self._fault(f"there is no figure named {token!r}{did_you_mean(token, list(self.known))}")
        self.used.append(token)
        value = self.known[token]
        if value is None:
            raise Missing(token)
        return value


def junit(report: Report, checks: Sequence[Check]) -> str:
    """A JUnit XML file with one test case per expression, as CI servers read it."""
    failures = sum(one.failed for one in checks)
    suite = ElementTree.Element(
        "testsuite",
        name=_clean(f"smolstudio compare {report.title}"),
        tests=str(len(checks)),
        failures=str(failures),
        errors="0",
        timestamp=report.provenance.created,
    )
    said = ElementTree.SubElement(suite, "properties")
    for name, value in (("verdict", report.verdict.word), ("rows", report.basis.split), ("margin", report.margin_note)):
        if value:
            ElementTree.SubElement(said, "property", name=name, value=_clean(value))
    for one in checks:
        case = ElementTree.SubElement(
            suite, "testcase", classname="smolstudio.compare", name=f"fail if {one.expression}"
        )
        if one.failed:
            failure = ElementTree.SubElement(case, "failure", message=_clean(one.sentence))
            notes = (report.real_rows_note, report.overlap_note, report.margin_note)
            failure.text = _clean("\n".join([report.headline, report.verdict.sentence, *(n for n in notes if n)]))
    ElementTree.indent(suite)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(suite, encoding="unicode") + "\n"


def _clean(text: str) -> str:
    """Without the control characters that XML forbids."""
    return re.sub(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", "\ufffd", text)
