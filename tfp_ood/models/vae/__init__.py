"""Variational autoencoders: a bound of the likelihood, and reconstructions.

`build.py` makes the model, `networks.py` encoder and decoder. Imports the model contract, the
discretized logistic of `models/pixel_cnn/` and nothing else of other families.
"""
