"""Training: one Keras `fit` for all families.

`fit.py` trains and reads what was trained, `backups.py` has what a killed one goes on from,
`strategy.py` and `cluster.py` have its devices and workers, `fused.py` its optimizers,
`trajectory.py` scores the judged sets at every checkpoint, `kept.py` hands models on to later
stages. May import the root of the package, `data/` and `models/`.
"""
