"""Is the small model better, how sure are we, and what does it cost: systems, scores, statistics, prices, report."""
