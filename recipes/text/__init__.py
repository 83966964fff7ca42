"""Text: rows as tokens, supervised and preference tuning."""
