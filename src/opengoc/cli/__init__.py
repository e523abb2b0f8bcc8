"""The command goc: one file per noun."""
