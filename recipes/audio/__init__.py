"""Speech: recordings as features, tuning, transcripts."""
