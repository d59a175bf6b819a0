"""Training: one Keras `fit` for all families.

`fit.py` trains and reads what was trained, `strategy.py` has its devices and workers,
`trajectory.py` scores the judged sets at every checkpoint. May import the root of the package,
`data/` and `models/`.
"""
