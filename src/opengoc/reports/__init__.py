"""The weekly production report: built from plain inputs, published in revisions, rendered five ways."""
