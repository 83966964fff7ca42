"""Datasets on their way out: into the forms that other programs read."""
