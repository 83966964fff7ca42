"""Servers and answers: the studio itself, a tuned model, a question in the playground."""
