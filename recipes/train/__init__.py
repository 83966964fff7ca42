"""What the trainings of all modalities share."""
