"""Search for the lowest structures of clusters of two metals, as alloys.py does it."""
