"""Batch systems that are asked for what ended, one module each: bytes out, in a format of ``formats``."""
