"""The addresses, filters and formats of MyOSG and OSG Topology, for programs that already read them.

What is answered otherwise than there, and why: docs/reference/compatibility.md.
"""
