"""One module per format; each has ``render(report) -> str`` and shows every figure's state."""
