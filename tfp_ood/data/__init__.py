"""Images: the table of data sets, their preparation, and one path to uint8 batches.

`specs.py` says what a name in a config means, `prepare.py` makes a set present, `splits.py` and
`pipeline.py` read it. May import the modules at the root of the package and nothing else of it;
`specs.py` and `mirrors.py` do without TensorFlow.
"""
