"""Usage records: formats in, usage queries out."""
