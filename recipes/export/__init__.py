"""A tuned model on its way out of the run folder."""
