"""Entries in other forms: the XML of glideinWMS factories in, ``entries.toml`` out. One module a step."""
