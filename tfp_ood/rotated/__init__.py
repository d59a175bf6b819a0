"""The second experiment, whole: classifiers that are certain of digits turned upside down.

Louizos & Welling (2017): networks, training, prediction, config, pages and stages of the rotated
digits. Uses the data, the metrics and the pages' toolkit of the rest of the package; nothing but
the command line imports it.
"""
