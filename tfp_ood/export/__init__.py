"""What is shipped of a trained model: a SavedModel with a guard, its card, an example client.

`bundle.py` writes WORKDIR/export; `client.py` is copied there, with the size of its batches, and
imports nothing of this package. The others may import all but the Beam pipeline, the stages and the
command line.
"""
