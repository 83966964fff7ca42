"""A served cascade: the tuned model answers, an endpoint where it is unsure (`smolstudio serve … --cascade`)."""
