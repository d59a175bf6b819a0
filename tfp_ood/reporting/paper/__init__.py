"""The paper's page: figures and findings of Nalisnick et al. (2019) beside those of finished runs.

`facts.py` has what the paper and others say, `match.py` which run stands beside what, `findings.py`
looks for each finding. Imports what is directly in `reporting/`, and no other room of it.
"""
