"""The studio's pages, one per file, rendering only."""
