"""Built-in probes, one file each: a frozen value with ``run(timeout_seconds) -> Finding``."""
