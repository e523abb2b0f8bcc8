"""Nouns every room shares: intervals, figures, units, ids, errors. Imports nothing of the house."""
