"""Score tables: what a trained model says of every image of every set, written once.

`likelihood.py` writes them, `tables.py` reads them and `images.py` what was kept of the images;
these two import no TensorFlow, so that reports are made from the tables in a second. May import the
root of the package, `metrics/`, `data/`, `models/` and `training/`.
"""
