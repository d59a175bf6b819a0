"""Images: the table of data sets, their preparation, and one path to uint8 batches.

`specs.py` says what a name in a config means, `prepare.py` makes a set present, `splits.py` and
`pipeline.py` read it. Of a person's own files `folders.py` says which are images, `decoding.py`
reads one, and `image_files.py` a folder of them. May import the modules at the root of the package
and nothing else of it; `specs.py`, `mirrors.py` and what reads a person's own files do without
TensorFlow.
"""
