"""Where things are kept: facts, ledger, lake. Knows no site and no job."""
