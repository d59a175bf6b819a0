"""Training: one Keras `fit` for all families."""
