"""Scores of images under a trained model: tables, OOD scores computed from them, and metrics.

Nothing here imports TensorFlow, so that reports are made from the tables in a second.
"""
