"""Foreign formats of registry data, one file each."""
