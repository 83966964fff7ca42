"""Where a reply states its answer: after a mark, in bold, or in a line of its own; thinking is taken off first.

Knows nothing of numbers, letters or labels. Each scorer reads the passages in the order given here, the most explicit
first, and takes the first that it can read.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from synth.scoring.verify import fold

MAX_CHARS = 20_000
"""Of longer replies the end is read, which is where an answer stands."""
MAX_BOXES, MAX_BOXED_CHARS = 20, 1_000
SENTENCE_END = re.compile(
    r"(?<!\bSt\.)(?<!\bMr\.)(?<!\bDr\.)(?<!\bMs\.)(?<!\bMrs\.)(?<!\bvs\.)(?<!\bno\.)(?<!\b[A-Z]\.)(?<=[.!?;])[*_\"']*\s+(?=[^\W_]|[*_\"'(])"
)
BARE_WORDS = 8
BARE_CHARS = 80

# --- thinking -----------------------------------------------------------------------------------------------------

_OPEN = r"<(think|thinking|thought|reasoning|reflection)>|\[THINK\]|◁think▷|<\|channel\|>analysis"
_CLOSE = r"</(?:think|thinking|thought|reasoning|reflection)>|\[/THINK\]|◁/think▷|<\|channel\|>final(?:<\|message\|>)?"
_THOUGHT = re.compile(rf"(?:{_OPEN}).*?(?:{_CLOSE}|\Z)", re.DOTALL | re.IGNORECASE)
_UNOPENED = re.compile(rf"\A.*(?:{_CLOSE})", re.DOTALL | re.IGNORECASE)
_SPECIAL = re.compile(r"<\|[a-z_]{1,20}\|>|</s>|<end_of_turn>|<end_of_utterance>", re.IGNORECASE)


def without_thinking(reply: str) -> str:
    """The reply without `<think>…</think>` and its like, and without a chat template's own marks.

    An unclosed mark makes all that follows thinking. A close without an opening makes all before it thinking: some
    templates open it in the prompt.
    """
    if "<" not in reply and "[" not in reply and "◁" not in reply:
        return reply
    return _SPECIAL.sub("", _UNOPENED.sub("", _THOUGHT.sub("", reply)))


_RUN = re.compile(r"([^\w\s])\1{29,}")
_GAP = re.compile(r"\s{30,}")


def condensed(reply: str) -> str:
    """The reply with endless runs of one sign or of white space cut short, as models write them that loop."""
    short = _RUN.sub(lambda match: match.group(1) * 30, reply)
    return _GAP.sub(lambda match: "\n\n" if "\n" in match.group(0) else " ", short)


# --- passages -----------------------------------------------------------------------------------------------------


class Passage(NamedTuple):
    """A part of the reply that may state the answer. `marked`: the reply itself says that it does."""

    text: str
    marked: bool


_WORD = (
    r"(?:answer|ans|antwort|réponse|respuesta|risposta|resposta|antwoord|svar|odpowiedź|ответ|cevap|答案|答え|解答|정답|답"
    r"|उत्तर|الجواب|الإجابة)"
)
_LED = r"(?:(?:final|correct|right|best|short|direct|my|the|so|thus|therefore|hence|,)\s+){0,4}"
_STRONG = re.compile(
    rf"(?im)^[ \t#>*_-]{{0,30}}{_LED}[*_]{{0,3}}{_WORD}[*_]{{0,3}}[ \t]{{0,9}}"
    r"(?:[:：=]|-(?=\s)|[–—])"
    rf"[*_ \t]{{0,9}}(?P<same>[^\n]*)"
    rf"|(?<![\w-]){_WORD}[*_]{{0,3}}[ \t]{{0,9}}[:：][*_ \t]{{0,9}}(?P<inline>[^\n]*)"
    rf"|^[ \t#>*_]{{0,30}}{_LED}{_WORD}[*_:： \t]{{0,9}}\n\s{{0,9}}(?P<next>[^\n]+)"
    r"|^[ \t]*#{4}[ \t]*(?P<gsm>[-+$€£\d][^\n]*|[^\n]+(?=\s*\Z))"
)
_TAG = re.compile(r"<(answer|final_answer|result)>(.*?)</\1>", re.DOTALL | re.IGNORECASE)
_WEAK = re.compile(
    rf"(?i)\b(?:{_WORD}|(?:correct|right|best|final)\s+(?:option|choice|letter|label|class|category|result|value|number|amount|total))"
    rf"\b[^.\n:=]{{0,50}}?(?:\b(?:is|are|was|would be|should be|must be|equals|comes to|ist|est|es|è|é)\b|=)"
    r"[ \t]*:?(?P<text>[^\n]*)|(?:答案是|答案为|答えは)(?P<cjk>[^\n。]*)"
)
_ITEM = re.compile(r"\s*[-*•]\s")
_BOLD = re.compile(r"\*\*(?!\s)([^*\n]{1,200}?)\*\*|__(?!\s)([^_\n]{1,200}?)__")
_FENCE = re.compile(r"\A\s*```[\w-]*\n(.*?)\n?```\s*\Z", re.DOTALL)


def boxed(text: str) -> list[tuple[int, str]]:
    """Contents of every `\\boxed{…}` with balanced braces, and where each begins."""
    found = []
    for match in list(re.finditer(r"\\f?boxed\s{0,3}\{", text))[-MAX_BOXES:]:
        depth, at, end = 1, match.end(), min(len(text), match.end() + MAX_BOXED_CHARS)
        while at < end and depth:
            depth += {"{": 1, "}": -1}.get(text[at], 0)
            at += 1
        if not depth:
            found.append((match.start(), text[match.end() : at - 1]))
    return found


def marked(reply: str) -> list[str]:
    """What the reply marks as its answer, the last mark first; clear marks before `the answer is`."""
    reply = reply[-MAX_CHARS:]
    clear = boxed(reply) + [(match.start(), match.group(2)) for match in _TAG.finditer(reply)]
    for match in _STRONG.finditer(reply):
        text = next((group for group in match.groups() if group is not None), "")
        if not _has_content(text):
            below = [line for line in reply[match.end() :].splitlines() if _has_content(line)]
            if len([line for line in below[:2] if _ITEM.match(line)]) == 2:
                continue  # a list of parts: its first item is not the answer
            text = below[0] if below else ""
        clear.append((match.start(), text))
    spoken = [(match.start(), match["text"] or match["cjk"] or "") for match in _WEAK.finditer(reply)]
    found = [text for _, text in sorted(clear, reverse=True)] + [text for _, text in sorted(spoken, reverse=True)]
    return [text.strip() for text in found if _has_content(text)]


def _has_content(text: str) -> bool:
    return bool(text.strip(" \t*_#:.$\\[](){}`-"))


def bold(reply: str) -> list[str]:
    """Passages in bold, the last first; headings (`**Step 1:**`) are none."""
    found = [match.group(1) or match.group(2) for match in _BOLD.finditer(reply[-MAX_CHARS:])]
    return [
        text for text in reversed(found) if not re.match(r"(?i)\s*(?:step|part|case|note)\b", text) and text[-1] != ":"
    ]


def lines(reply: str) -> list[str]:
    """Lines with content; code fences, rules and Markdown's marks at their beginnings are left out."""
    kept = (re.sub(r"^[\s>]*(?:#{1,6}\s+|[-*•]\s+)?", "", line).strip() for line in reply[-MAX_CHARS:].splitlines())
    return [line for line in kept if _has_content(line) and not line.startswith("```")]


def is_bare(line: str) -> bool:
    """Whether a line may be an answer that stands alone: short, and no sentence."""
    words = len(line.split())
    is_sentence = words > 3 and re.search(r"[.!?][*_\"']*$", line) is not None
    several = re.search(r"[.!?:;]\s+\S", line) is not None
    return len(line) <= BARE_CHARS and words <= BARE_WORDS and not is_sentence and not several


def stated(reply: str) -> str:
    """The short text that a reply states as its answer: marked, else standing alone, else in bold. May be the reply."""
    fenced = _FENCE.match(reply)
    reply = (fenced.group(1) if fenced else reply).strip()
    explicit = marked(reply)
    if explicit:
        return tidy(explicit[0])
    parts = lines(reply)
    if len(parts) > 1:
        bare = [line for line in (parts[0], parts[-1]) if is_bare(line)]
        if len({fold(plain(line)) for line in bare}) == 1:
            return tidy(bare[0])
        if bare:
            return tidy(reply)
    strong = bold(reply)
    if strong and len({fold(text) for text in strong}) == 1:
        return tidy(strong[0])
    return tidy(parts[0] if len(parts) == 1 else reply)


_COPULA = re.compile(r"(?i)^[^\n]*\b(?:is|are|was|were|would be|it's|that's|be|called|named)\b:?\s+(?P<rest>[^\n]+)$")


def said_last(text: str) -> str:
    """What follows the last `is` of a sentence: `The ball is blue` says `blue`. The text itself without one."""
    match = _COPULA.match(text.strip())
    return match["rest"] if match else text


def plain(text: str) -> str:
    """Without Markdown's and TeX's dress: `**Blue**`, `$\\text{Blue}$`, `` `Blue` ``."""
    text = re.sub(r"\\(?:boxed|text|mathrm|mathbf|textbf)\s*\{([^{}]*)\}", r"\1", text)
    text = re.sub(r"\A\s*(?:\$\$?|\\[(\[])(?!\s*\d)(.*?)(?:\$\$?|\\[)\]])\s*\Z", r"\1", text, flags=re.DOTALL)
    return re.sub(r"\*\*|(?<!\w)[*_`]+(?=\S)|(?<=\S)[*_`]+(?!\w)", "", text)


def tidy(text: str) -> str:
    """One line, undressed."""
    return re.sub(r"\s+", " ", plain(text)).strip()


def final_answer(text: str) -> str:
    """What a worked answer concludes, as a short text. May be ""."""
    return stated(text).strip(" ").rstrip(".!,; ").strip()
