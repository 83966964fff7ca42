"""What is done to a dataset after it was made: cleaning, leakage, quality, decisions by hand."""
