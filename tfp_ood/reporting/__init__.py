"""Score tables -> numbers, figures, words and pages, for people.

`summary.py` has the numbers (`summary.json`), `judged.py` a set with its table and numbers,
`runs.py` and `ensembles.py` several runs; `html.py`, `figures.py` and `by_detector.py` are the
toolkit of all pages, `names.py`, `outcome.py` and `reasons.py` their words. Each page has a room:
`run/`, `compare/`, `audit/`, `monitor/`, `paper/`. May import score tables, metrics, detectors and
what is below; a room imports what is directly in this folder, and no other room. Loads no model and
imports no TensorFlow.
"""
