"""Monitoring: have new images drifted from a run's own ones, and which of them are foreign?

`page.py` writes WORKDIR/monitor/NAME/index.html, `words.py` says what was found, `plots.py` draws
it. Imports what is directly in `reporting/`, and no other room of it.
"""
