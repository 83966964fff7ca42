"""Tuned models in the forms that other programs read. One module a target; `targets.exporters` finds them.

A module here that defines `EXPORTER` (see `recipes.export.exporter`) is a target: nothing else need be changed.
"""
