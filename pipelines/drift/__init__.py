"""Drift: whether what a model sees still is what it was trained on, and how much it matters."""
