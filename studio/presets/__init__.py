"""Ready tasks and demos, as data."""
