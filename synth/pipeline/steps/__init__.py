"""The kinds of steps that a pipeline is made of, by the name that its YAML uses.

`smolstudio pipeline steps` lists them with their settings.
"""

from __future__ import annotations

from synth.pipeline.step import StepKind
from synth.pipeline.steps import ask, checks, compare, dedup, filters, medium, parse, rank, row, sources, spread

KINDS: dict[str, StepKind] = {
    "once": StepKind(sources.Once, sources.once, "One candidate without fields.", fans_out=True),
    "records": StepKind(sources.Records, sources.records, "Rows of a table, one candidate each.", fans_out=True),
    "documents": StepKind(sources.Documents, sources.documents, "Extracts of documents.", fans_out=True),
    "search": StepKind(sources.Search, sources.search, "Extracts of documents that fit a candidate.", fans_out=True),
    "medium": StepKind(medium.Medium, medium.medium, "The picture or recording of a row."),
    "grid": StepKind(spread.Grid, spread.grid, "Combinations, drawn without repeats.", fans_out=True, gathers=True),
    "shuffle": StepKind(spread.Shuffle, spread.shuffle, "All candidates in random order.", gathers=True),
    "times": StepKind(spread.Times, spread.times, "Each candidate once for each value of a list.", fans_out=True),
    "examples": StepKind(spread.Examples, spread.examples, "Some of the user's examples, for the prompt."),
    "given": StepKind(spread.Given, spread.given, "The user's examples themselves, as rows.", fans_out=True),
    "ask": StepKind(ask.Ask, ask.ask, "A teacher answers a prompt.", asks=True),
    "parse": StepKind(parse.Parse, parse.parse, "Fields out of an answer.", fans_out=True),
    "length": StepKind(checks.Length, checks.length, "Texts that are too short or too long are out."),
    "same": StepKind(checks.Same, checks.same, "Two fields must agree."),
    "equals": StepKind(checks.Equals, checks.equals, "A field must have a value."),
    "agreement": StepKind(checks.Agreement, checks.agreement, "Notes whether two fields agree; nothing is rejected."),
    "threshold": StepKind(checks.Threshold, checks.threshold, "A number must be within limits."),
    "quoted": StepKind(checks.Quoted, checks.quoted, "A quotation must stand in its source."),
    "faithful": StepKind(checks.Faithful, checks.faithful, "Numbers and names of a source survive, and none is new."),
    "language": StepKind(checks.Language, checks.language, "A text must be in its language."),
    "unlike": StepKind(checks.Unlike, checks.unlike, "A text must not be one of the user's examples."),
    "untagged": StepKind(checks.Untagged, checks.untagged, "A text must not be marked with its label."),
    "dedup": StepKind(dedup.Dedup, dedup.dedup, "Exact and near duplicates are out."),
    "best": StepKind(compare.Best, compare.best, "Chosen and rejected of several answers, by a verifier."),
    "rank": StepKind(rank.Rank, rank.rank, "Chosen and rejected of several answers, by a judge's points.", asks=True),
    "judge": StepKind(compare.Judge, compare.judge, "A teacher compares two texts, in both orders.", asks=True),
    "alike": StepKind(compare.Alike, compare.alike, "Two answers mean the same; equal ones unasked.", asks=True),
    "rated": StepKind(filters.Rated, filters.rated, "Two ratings of a text as one, for `rubric`."),
    "rubric": StepKind(filters.Rubric, filters.rubric, "Points by a linear head on a teacher's ratings."),
    "ngrams": StepKind(filters.Ngrams, filters.ngrams, "The best share by words, good against bad.", gathers=True),
    "ensemble": StepKind(filters.Ensemble, filters.ensembled, "The best by the rank of several scores.", gathers=True),
    "row": StepKind(row.Row, row.row, "A dataset row from a candidate's fields."),
}
