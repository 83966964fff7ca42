"""Parts of messages that no person phrases: issue forms that were filled in, tables of an environment, logs and traces.

A form has headings and boxes, comments that nobody deleted, and questions that nobody answered.
"""

from __future__ import annotations

from random import Random

from synth.extraction.bank import bank
from synth.extraction.case import Case
from synth.extraction.named import written_version

_WHAT = (
    "Describe the bug",
    "What happened?",
    "Problem",
    "Bug description",
    "Current behavior",
    "Summary",
    "Issue",
    "Details",
    "Actual behaviour",
)
_WISH = (
    "Is your request related to a problem?",
    "Describe the solution you'd like",
    "Feature description",
    "Proposal",
    "Idea",
    "Summary",
)
_STEPS = (
    "Steps to reproduce",
    "To Reproduce",
    "How can we reproduce this?",
    "Reproduction steps",
    "Steps to reproduce the behavior",
)
_EXPECTED = ("Expected behaviour", "Expected", "What did you expect?", "Expected behavior", "Expected result")
_VERSION = ("Version", "App version", "Release", "Which version are you using?", "Package version", "Build", "version")
_PLATFORM = (
    "Environment",
    "Platform",
    "Device",
    "Operating system",
    "OS / browser",
    "Where do you see this?",
    "Browser",
)
_UNANSWERED = (
    "Screenshots",
    "Additional context",
    "Logs",
    "Anything else?",
    "Related issues",
    "Possible solution",
    "Attachments",
)
_NOTHING = ("_No response_", "n/a", "-", "none", "No", "_No response_")
_COMMENTS = (
    "<!-- Please fill in every section. -->",
    "<!-- A short and clear description. -->",
    "<!-- Search for existing issues first -->",
    "<!-- remove what does not apply -->",
)
_BOXES = (
    "- [x] I searched the existing issues",
    "- [x] This is not a duplicate",
    "- [ ] I am willing to send a fix",
    "- [x] I agree to the code of conduct",
    "- [ ] It also happens with all plugins off",
)
_LOG = (
    "{time} ERROR handler: timeout after 30000 ms",
    "{time} WARN retry {n} of 5",
    "{time} INFO user {n} signed in",
    'level=error msg="context deadline exceeded" id={n}',
    'level=warning msg="slow query" rows={n}',
    'Traceback (most recent call last):\n  File "app/main.py", line {n}, in run\nKeyError: "id"',
    "java.lang.NullPointerException: null\n\tat com.example.Main.render(Main.java:{n})",
    "TypeError: Cannot read properties of undefined (reading 'map')\n    at List.render (list.js:{n}:14)",
    "thread 'main' panicked at src/main.rs:{n}:9:\nindex out of bounds",
    "panic: runtime error: invalid memory address\ngoroutine {n} [running]:",
    "HTTP 500 Internal Server Error (request {n})",
    "[{time}] segfault at 00000000 ip 00007f",
    "POST /items?page={n} 504 (Gateway Time-out)",
    "System.InvalidOperationException: Sequence contains no elements\n   at App.Load(Int32 id) in Load.cs:line {n}",
    "npm ERR! code ELIFECYCLE\nnpm ERR! errno {n}",
    "fatal: unable to access repository: Could not resolve host",
    "E/Activity({n}): FATAL EXCEPTION: main",
    'PHP Warning: Undefined array key "name" in index.php on line {n}',
)


def headed(case: Case, form: str, statement: str, rng: Random) -> str:
    """A form that was filled in: headings (a bug tracker's), or `key: value` lines (a help desk's)."""
    ticket = form == "ticket"
    fields = [
        (
            "Description" if ticket else rng.choice(_WISH if case.issue.type == "feature" else _WHAT),
            _described(case, statement, rng),
        )
    ]
    issue = case.issue
    if case.listed:
        listed = "\n".join(f"{i}. {step}" for i, step in enumerate(issue.steps, 1))
        fields.append((rng.choice(_STEPS), listed))
    if issue.expected is not None and case.said.clause:
        fields.append((rng.choice(_EXPECTED), issue.expected))
    known = _environment(case, rng)
    if ticket:
        head = [
            ("Ticket", f"#{rng.randrange(1000, 99999)}"),
            ("From", rng.choice(("web form", "phone", "e-mail", "chat"))),
        ]
        return "\n".join(f"{key}: {value}" for key, value in [*head, *fields, *known])
    if rng.random() < 0.4 and known:
        known = [
            (
                rng.choice(("Environment", "Setup", "Your environment")),
                "\n".join(f"- {key}: {value}" for key, value in known),
            )
        ]
    fields += known
    if rng.random() < 0.35:
        fields.append((rng.choice(_UNANSWERED), rng.choice(_NOTHING)))
    first, rest = fields[:1], fields[1:]
    if rng.random() < 0.25:
        rng.shuffle(rest)
    if rng.random() < 0.2:
        first, rest = rest, first
    return _laid_out([*first, *rest], rng)


def _laid_out(fields: list[tuple[str, str]], rng: Random) -> str:
    level = rng.choice(("### {}", "## {}", "**{}**", "{}:", "**{}:**", "[{}]", "### {}"))
    parts = [f"{level.format(key)}\n{value}" for key, value in fields]
    if rng.random() < 0.2:
        parts.insert(rng.randrange(len(parts)), rng.choice(_COMMENTS))
    if rng.random() < 0.2:
        parts.insert(0 if rng.random() < 0.5 else len(parts), "\n".join(rng.sample(_BOXES, rng.randint(1, 3))))
    return ("\n\n" if rng.random() < 0.7 else "\n").join(parts)


def _described(case: Case, statement: str, rng: Random) -> str:
    words = bank(case.phrases)
    said = [statement, *([case.impact] if case.impact else [])]
    if case.other_version is not None:
        said.append(rng.choice(words.says["old_version"]).format(o=case.other_version))
    if case.other_platform is not None:
        said.append(rng.choice(words.says["other_platform"]).format(o=case.other_platform))
    return " ".join(said)


def _environment(case: Case, rng: Random) -> list[tuple[str, str]]:
    """Version, platform and estimate as a form asks for them."""
    issue, known = case.issue, []
    if issue.version is not None:
        known.append((rng.choice(_VERSION), written_version(issue.version, rng)))
    elif case.latest:
        known.append((rng.choice(_VERSION), rng.choice(("latest", "current", "newest"))))
    if issue.platform is not None:
        known.append((rng.choice(_PLATFORM), issue.platform))
    if issue.estimated_hours is not None:
        known.append(("Estimate", f"{issue.estimated_hours:g} hours"))
    return known


def tabled(case: Case, rng: Random) -> str:
    """What is known as a table in Markdown, or as lines."""
    known = _environment(case, rng)
    if case.issue.expected is not None and case.said.clause:
        known.append((rng.choice(_EXPECTED), case.issue.expected))
    if case.other_version is not None:
        known.append((rng.choice(("Last version without it", "Previous version", "Database")), case.other_version))
    if case.other_platform is not None:
        known.append((rng.choice(("Works on", "Not affected")), case.other_platform))
    if rng.random() < 0.5:
        return "\n".join(f"{key} = {value}" for key, value in known)
    rows = [f"| {key} | {value} |" for key, value in known]
    return (
        "\n".join(
            [f"| {rng.choice(('Question', 'Q', 'Key'))} | {rng.choice(('Answer', 'A', 'Value'))} |", "|---|---|", *rows]
        )
        if rows
        else ""
    )


def log(rng: Random) -> str:
    """Some lines of a log, or a trace."""
    lines = []
    for _ in range(rng.randint(1, 3)):
        time = f"{rng.randrange(24):02}:{rng.randrange(60):02}:{rng.randrange(60):02}"
        lines.append(rng.choice(_LOG).format(time=time, n=rng.randrange(10, 999)))
    block = "\n".join(lines)
    return f"```\n{block}\n```" if rng.random() < 0.6 else block
