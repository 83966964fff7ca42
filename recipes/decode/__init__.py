"""How text models answer: many prompts through few slots."""
