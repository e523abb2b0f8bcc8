"""What runs on a worker node: standard library only."""
