"""Score tables -> figures, words and a page; loads no model and imports no TensorFlow."""
