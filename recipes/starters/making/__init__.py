"""How the embedded starters were made. A running studio imports nothing from here."""
