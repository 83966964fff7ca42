"""What trainings of all modalities share: work (the run, its rows and model) -> trainer -> training (to the adapter).

Beside them: preflight with its probe, row checks and report; the loss (head); events (callbacks); repeatability.
"""
