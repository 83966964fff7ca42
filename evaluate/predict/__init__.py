"""Who answers, how each is asked, and its answers on disk."""
