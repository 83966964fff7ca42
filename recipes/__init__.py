"""How a base model becomes a tuned one: recipes, runs, checkpoints, trainers and the embedded starters."""
