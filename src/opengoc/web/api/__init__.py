"""The house's own JSON API: the registry as known at any moment, its changes, and downtimes."""
