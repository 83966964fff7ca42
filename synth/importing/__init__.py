"""Users' own rows, pictures and recordings on their way into a dataset."""
