"""How a search chooses the group of its next epoch: one choice per file."""
