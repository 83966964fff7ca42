"""The choices of one training: the recipe file and its options."""
