"""Embedded base models: the data that they learned, the scripts that made them, their weights and cards."""
