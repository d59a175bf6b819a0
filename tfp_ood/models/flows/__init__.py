"""Normalizing flows: Glow (also constant-volume and class-conditional) and RealNVP.

`flow.py` makes a model of discrete images out of any bijector; `glow.py` and `real_nvp.py` compose
theirs from `bijectors.py`, `couplings.py` and `networks.py`. Imports the model contract
(`models/base.py`, and the modules beside it) and no other family.
"""
