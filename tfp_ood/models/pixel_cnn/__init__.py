"""PixelCNN++ and the gated PixelCNN: exact likelihoods, pixel by pixel.

`build.py` makes the model; `networks.py` and `layers.py` are causal by construction, `heads.py` has
the distributions of a pixel, `sampler.py` draws one new pixel per step. Imports what lies beside
it in `models/`, and no other family.
"""
