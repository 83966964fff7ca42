"""Base models and adapters: where they lie, how they are loaded, what they need."""
