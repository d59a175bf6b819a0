"""Variational autoencoders: a bound of the likelihood, and reconstructions.

`build.py` makes the model, `networks.py` encoder and decoder. Imports what lies beside
it in `models/`, and no other family.
"""
