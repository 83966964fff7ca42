"""Bare arithmetic with written working: the four operations, columns, chains, percentages, averages."""

import random
import re
from decimal import Decimal

from recipes.starters.text_data.row import Row, calculation, pick
from synth.math.working import Number, add, div, mul, percent_of, running_sum, show, sub

_ASK = (
    "What is {}?",
    "{} = ?",
    "Compute {}.",
    "Work out {}.",
    "Calculate {}",
    "{}",
    "Find {}.",
    "Please work out {}.",
    "How much is {}?",
    "Give the value of {}.",
    "Solve: {}",
    "Can you compute {}?",
    "Evaluate {}.",
    "{} =",
)
_SIGNS = {
    "+": ("{a} + {b}", "{a} plus {b}", "the sum of {a} and {b}", "{a} added to {b}"),
    "-": ("{a} - {b}", "{a} minus {b}", "{b} less than {a}", "the difference between {a} and {b}"),
    "*": ("{a} * {b}", "{a} x {b}", "{a} times {b}", "the product of {a} and {b}", "{a} × {b}"),
    "/": ("{a} / {b}", "{a} divided by {b}", "{a} ÷ {b}", "{a} : {b}"),
}


def quantity(rng: random.Random, digits: int, decimals: int = 0) -> Decimal:
    """A number with up to `digits` digits before the point, most with two or three, as in everyday sums."""
    size = min(digits, rng.choices((1, 2, 3, 4, 5), (15, 40, 30, 10, 5))[0])
    whole = rng.randint(10 ** (size - 1), 10**size - 1)
    if not decimals:
        return Decimal(whole)
    return Decimal(whole) + Decimal(rng.randint(1, 10**decimals - 1)).scaleb(-decimals)


def _written(rng: random.Random, value: Number, money: bool) -> str:
    text = show(value, money)
    if "." not in text and len(text) > 3 and rng.random() < 0.2:
        text = f"{int(text):,}"
    return f"${text}" if money and rng.random() < 0.5 else text


def _reads_as_money(text: str) -> bool:
    """A currency sign or cents, so that whoever reads `text` knows that the answer has two decimals."""
    return "$" in text or re.search(r"\.\d\d\b", text) is not None


def _asked(rng: random.Random, sign: str, a: Number, b: Number, money: bool) -> tuple[str, str]:
    form, ask = pick(rng, _SIGNS[sign]), pick(rng, _ASK)
    text = ask.text.format(form.text.format(a=_written(rng, a, money), b=_written(rng, b, money)))
    return text[0].upper() + text[1:], f"{form.place}.{ask.place}"


def addition(rng: random.Random) -> Row:
    """Two numbers to five digits, with one decimal, or money."""
    kind = rng.randrange(4)
    money = kind == 3
    decimals = (0, 0, 1, 2)[kind]
    a, b = quantity(rng, 5 if not decimals else 4, decimals), quantity(rng, 5 if not decimals else 3, decimals)
    if rng.random() < 0.1 and decimals:
        b = Decimal(int(b))
    question, template = _asked(rng, "+", a, b, money)
    return calculation(question, [add(a, b, money)], show(a + b, money), "addition", template)


def subtraction(rng: random.Random) -> Row:
    """Two numbers to five digits, with one decimal, or money; the result is never negative."""
    kind = rng.randrange(4)
    money = kind == 3
    decimals = (0, 0, 1, 2)[kind]
    a, b = quantity(rng, 5 if not decimals else 4, decimals), quantity(rng, 4, decimals)
    if rng.random() < 0.2 and decimals:
        a = Decimal(int(a))
    a, b = max(a, b), min(a, b)
    question, template = _asked(rng, "-", a, b, money)
    return calculation(question, [sub(a, b, money)], show(a - b, money), "subtraction", template)


def multiplication(rng: random.Random) -> Row:
    """Tables, two and three digits by one and two, decimals and money by an integer."""
    kind = rng.randrange(7)
    money = kind in (4, 5)
    if kind == 0:
        a, b = quantity(rng, 2), Decimal(rng.randint(1, 12))
    elif kind == 1:
        a, b = quantity(rng, 2), Decimal(rng.randint(2, 9)).scaleb(rng.randint(0, 2))
    elif kind == 2:
        a, b = quantity(rng, 3), Decimal(rng.randint(2, 9))
    elif kind == 3:
        a, b = Decimal(rng.randint(11, 999)), Decimal(rng.randint(11, 99))
    elif kind in (4, 5):
        a, b = quantity(rng, 2, 2), Decimal(rng.randint(2, 9) if kind == 4 else rng.randint(2, 48))
    else:
        a, b = quantity(rng, 2, 1), Decimal(rng.randint(2, 99))
    if rng.random() < 0.35:
        a, b = b, a
    question, template = _asked(rng, "*", a, b, money)
    return calculation(question, [mul(a, b, money)], show(a * b, money), "multiplication", template)


def division(rng: random.Random) -> Row:
    """Exact quotients of one to four digits, money shared, and remainders."""
    kind = rng.randrange(5)
    divisor = Decimal(rng.choice([2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 15, 20, 25, 30, 40, 50, 60]))
    if kind == 4:
        return _remainder(rng, int(divisor))
    quotient = quantity(rng, 1) if kind == 0 else quantity(rng, 3) if kind == 1 else quantity(rng, 2, kind - 1)
    dividend = quotient * divisor
    question, template = _asked(rng, "/", dividend, divisor, money=kind == 3)
    money = _reads_as_money(question)
    return calculation(question, [div(dividend, divisor, money)], show(quotient, money), "division", template)


def _remainder(rng: random.Random, divisor: int) -> Row:
    quotient, rest = rng.randint(1, 12), rng.randrange(divisor)
    total = quotient * divisor + rest
    ask = pick(
        rng,
        (
            "What is the remainder of {a} divided by {b}?",
            "{a} mod {b}",
            "Divide {a} by {b}. What is left over?",
            "How many whole times does {b} go into {a}?",
            "What is {a} / {b} rounded down?",
        ),
    )
    lines = [mul(divisor, quotient), sub(total, divisor * quotient)]
    answer = quotient if ask.place >= 3 else rest
    return calculation(ask.text.format(a=total, b=divisor), lines, str(answer), "division", f"rest{ask.place}")


def column(rng: random.Random) -> Row:
    """A column of three to six numbers, added with a running total."""
    money = rng.random() < 0.4
    count = rng.randint(3, 6)
    values = [quantity(rng, 3 if money else 4, 2 if money else 0) for _ in range(count)]
    shown = [_written(rng, value, money) for value in values]
    form = pick(rng, (" + ", "\n", ", ", "; ", " and "))
    ask = pick(
        rng,
        (
            "Add these numbers: {}",
            "Sum: {}",
            "What is the total of {}?",
            "Add up {}",
            "Total of {}",
            "Find the sum of {}.",
            "{}\nWhat is the sum?",
        ),
    )
    lines = running_sum(values, money)
    return calculation(
        ask.text.format(form.text.join(shown)),
        lines,
        show(sum(values, Decimal(0)), money),
        "column",
        f"{form.place}.{ask.place}",
    )


def _next_step(rng: random.Random, value: Decimal) -> tuple[str, Decimal, str, Decimal]:
    """A sign, an operand, its worked line and the new value; keeps values whole, positive and below 100,000."""
    signs = ["+", "-"] if value > 1 else ["+"]
    if value < 1000:
        signs.append("*")
    divisors = [d for d in range(2, 13) if value and value % d == 0]
    if divisors:
        signs.append("/")
    sign = rng.choice(signs)
    if sign == "+":
        operand = quantity(rng, 3)
        return sign, operand, add(value, operand), value + operand
    if sign == "-":
        operand = Decimal(rng.randint(1, min(int(value), 999)))
        return sign, operand, sub(value, operand), value - operand
    if sign == "*":
        operand = Decimal(rng.randint(2, 9))
        return sign, operand, mul(value, operand), value * operand
    operand = Decimal(rng.choice(divisors))
    return sign, operand, div(value, operand), value / operand


_CHAIN_WORDS = {
    "+": ("add {}", "plus {}", "then add {}"),
    "-": ("subtract {}", "take away {}", "minus {}"),
    "*": ("multiply by {}", "times {}"),
    "/": ("divide by {}", "then divide by {}"),
}


def chain(rng: random.Random) -> Row:
    """Two to five operations one after the other, as an expression with brackets or in words."""
    value = quantity(rng, 3)
    shown, words, lines = show(value), [f"Start with {show(value)}"], []
    steps = rng.randint(2, 5)
    last_low = False
    for _ in range(steps):
        sign, operand, line, value = _next_step(rng, value)
        if sign in "*/" and last_low:
            shown = f"({shown})"
        last_low = sign in "+-"
        shown += f" {sign} {show(operand)}"
        words.append(rng.choice(_CHAIN_WORDS[sign]).format(show(operand)))
        lines.append(line)
    if rng.random() < 0.5:
        ask = pick(rng, _ASK)
        text = ask.text.format(shown)
        return calculation(text, lines, show(value), "chain", f"e{steps}.{ask.place}")
    end = pick(rng, (". What is the result?", ". What do you get?", ". Result?", ". Which number is it now?"))
    return calculation(", ".join(words) + end.text, lines, show(value), "chain", f"w{steps}.{end.place}")


def precedence(rng: random.Random) -> Row:
    """Products before sums: a * b + c * d and the like."""
    a, b, c, d = (rng.randint(2, 99), rng.randint(2, 12), rng.randint(2, 60), rng.randint(2, 9))
    form = rng.randrange(4)
    if form == 0:
        text, lines, value = f"{a} * {b} + {c} * {d}", [mul(a, b), mul(c, d), add(a * b, c * d)], a * b + c * d
    elif form == 1:
        text, lines, value = f"{c} + {a} * {b}", [mul(a, b), add(c, a * b)], c + a * b
    elif form == 2:
        value = (a + c) * b
        text, lines = f"({a} + {c}) * {b}", [add(a, c), mul(a + c, b)]
    else:
        total = a * b + c
        text, lines, value = f"{total} - {a} * {b}", [mul(a, b), sub(total, a * b)], c
    ask = pick(rng, _ASK)
    return calculation(ask.text.format(text), lines, str(value), "precedence", f"{form}.{ask.place}")


def percent(rng: random.Random) -> Row:
    """A percentage of a number, and a number raised or lowered by a percentage; results exact to the cent."""
    money = rng.random() < 0.5
    rate = rng.choice([*range(5, 100, 5), 10, 20, 50, 1, 2, 3, 4, 6, 8, 12, 15, 18, rng.randint(1, 99)])
    value = Decimal(rng.choice([rng.randint(2, 999), rng.randint(1, 99) * 10]))
    if money and rng.random() < 0.6:
        value = quantity(rng, 3, 2)
        while value * rate % 1:
            value = quantity(rng, 3, rng.randint(0, 2))
    shown = _written(rng, value, money)
    money = _reads_as_money(shown)
    lines, part = percent_of(rate, value, money)
    change = rng.choice(["of", "of", "up", "down"])
    if change == "of":
        ask = pick(
            rng,
            (
                "What is {p}% of {v}?",
                "{p}% of {v}",
                "Compute {p} percent of {v}.",
                "Find {p}% of {v}.",
                "How much is {p} percent of {v}?",
                "Work out {p}% of {v}",
            ),
        )
        answer = part
    elif change == "up":
        ask = pick(
            rng,
            (
                "Increase {v} by {p}%.",
                "{v} grows by {p}%. What is it now?",
                "Raise {v} by {p} percent.",
                "{v} plus {p}%",
            ),
        )
        lines.append(add(value, part, money))
        answer = value + part
    else:
        ask = pick(
            rng,
            (
                "Decrease {v} by {p}%.",
                "{v} falls by {p}%. What is it now?",
                "Lower {v} by {p} percent.",
                "{v} minus {p}%",
                "Take {p}% off {v}.",
            ),
        )
        lines.append(sub(value, part, money))
        answer = value - part
    return calculation(ask.text.format(p=rate, v=shown), lines, show(answer, money), "percent", f"{change}{ask.place}")


def average(rng: random.Random) -> Row:
    """The mean of two to five whole numbers whose mean is whole."""
    count = rng.randint(2, 5)
    values = [Decimal(rng.randint(2, 99)) for _ in range(count)]
    values[0] += count - sum(values) % count
    total = sum(values, Decimal(0))
    ask = pick(rng, ("What is the average of {}?", "Find the mean of {}.", "Average: {}", "The mean of {} is?"))
    text = ", ".join(map(show, values[:-1])) + f" and {show(values[-1])}"
    lines = [*running_sum(values), div(total, count)]
    return calculation(ask.text.format(text), lines, show(total / count), "average", f"{count}.{ask.place}")
