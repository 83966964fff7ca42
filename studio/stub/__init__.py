"""A model endpoint without a model, for rehearsals and tests."""
