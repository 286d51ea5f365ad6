"""Optimizers that are learned: networks, their weights, and tuned classical ones."""
