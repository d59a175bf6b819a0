"""The comparison: finished runs side by side on one page, seeds of one config as an ensemble.

Imports what is directly in `reporting/`, and no other room of it.
"""
