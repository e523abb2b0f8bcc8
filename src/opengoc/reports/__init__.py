"""The weekly production report and its renderers."""
