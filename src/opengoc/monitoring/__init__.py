"""Probes, status timelines, availability and reliability."""
