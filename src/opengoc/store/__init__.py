"""Where things are kept: facts with two times, the ledger of events and effects, the lake of records.

Knows no site and no job.
"""
