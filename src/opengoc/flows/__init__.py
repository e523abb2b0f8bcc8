"""Reactions that cross rooms."""
