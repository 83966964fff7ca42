"""Vision: pictures and questions as tokens, tuning, answers."""
