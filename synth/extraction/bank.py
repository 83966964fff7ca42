"""The phrases that messages are made of, by language: YAML files beside this module, read once and checked.

A problem's clauses go into a message word for word, which is what makes them recoverable. It draws nothing.
"""

from __future__ import annotations

import functools
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from synth.extraction.schema import IssueType, Priority
from synth.strict import read_yaml, validated

FOLDER = Path(__file__).with_name("phrases")
LANGUAGES = ("en", "de", "es", "fr", "pt")
HELD_OUT_LANGUAGE = "pt"
_ARTICLES = ("der ", "die ", "das ", "el ", "la ", "los ", "las ", "le ", "les ", "l'", "o ", "a ", "os ", "as ")

PLATFORMS = (
    "Pixel 8", "Pixel 6a with Android 15", "Samsung Galaxy S22", "Samsung A54, Android 14", "iPhone 15 Pro",
    "iPhone SE", "iPhone 12 mini, iOS 18.1", "iPad Air", "iPadOS 17", "Android 13", "iOS 17.4", "Windows 11",
    "Windows 10 22H2", "macOS Sonoma", "macOS 15.1 (M2)", "Ubuntu 24.04", "Debian 12", "Fedora 41", "Firefox",
    "Firefox 128 on Linux", "Safari", "Safari 17.5", "Chrome 131 on Windows 11", "Chrome", "Edge",
    "Raspberry Pi 5", "Xiaomi Redmi Note 13", "Huawei P30", "OnePlus 12", "Chromebook", "Apple Watch Series 9",
    "Fire HD 10", "a Lenovo ThinkPad T14", "Motorola G84", "Kindle",
)  # fmt: skip


class Problem(BaseModel):
    """One thing that can be said: clauses with `{c}` for the part of the product; `p` is its priority by itself."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    title: str
    p: Priority
    when: str = ""
    actual: str | None = None
    expected: str | None = None
    ask: str | None = None
    noun: bool = False


class Bank(BaseModel):
    """A language's phrases. Lists of sentences have slots in braces, see the head of `en.yaml`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    domains: dict[str, tuple[str, ...]]
    held_out_domains: tuple[str, ...]
    unnamed: tuple[str, ...]
    problems: dict[IssueType, tuple[Problem, ...]]
    says: dict[str, tuple[str, ...]]
    steps: tuple[str, ...]
    impact: dict[Priority, tuple[str, ...]]
    openings: tuple[str, ...]
    closings: tuple[str, ...]
    chatter: tuple[str, ...]
    second: tuple[str, ...]


@functools.cache
def bank(language: str) -> Bank:
    """The phrases of a language."""
    file = FOLDER / f"{language}.yaml"
    return validated(Bank, read_yaml(file, "phrases"), "phrases")


def bare(component: str) -> str:
    """A component's name without its article: `die Kasse` is called `Kasse` in an issue."""
    article = next((a for a in _ARTICLES if component.startswith(a)), "")
    return component[len(article) :]
