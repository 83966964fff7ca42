"""Prices, bills and break-even."""
