"""Short views of a workspace for pages and the terminal. Nothing here writes."""
