"""The audit: which foreign images would likelihood let through, and which the guard?

`page.py` writes WORKDIR/audit/index.html, `plots.py` draws its pictures. Imports what is directly
in `reporting/`, and no other room of it.
"""
