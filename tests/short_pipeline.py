"""The shortest pipeline that asks: one question for each row of a table."""

SHORT = """
version: 1
title: Short
about: One question for each row of a table.
inputs: {seeds: {title: Seeds, kind: path}}
steps:
  - {step: records, path: $seeds}
  - {step: ask, prompt: "Answer {{ question }}", max_tokens: 60, temperature: 0}
  - {step: parse, form: text, into: said}
  - {step: dedup, field: question, near: 1}
  - {step: row, prompt: "{{ question }}", target: "{{ said }}"}
"""
