"""The report of one run: summary.json, its figures and index.html.

Imports what is directly in `reporting/`, and no other room of it.
"""
