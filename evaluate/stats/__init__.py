"""From scored rows to figures with intervals."""
