"""Entries, match, pilots: the loop that turns sites into one pool."""
