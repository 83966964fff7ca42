"""Learned quality filters: a linear head on a teacher's ratings, an n-gram classifier, ensembles of them."""
