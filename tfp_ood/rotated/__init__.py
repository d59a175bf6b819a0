"""The second experiment, whole: classifiers that are certain of digits turned upside down.

Louizos & Welling (2017). `config`; `stages`, which the command line registers; `lenet` and
`multiplicative`, the networks; `classify`, their training; `images`, `predict` and `predictions`,
what they are asked and what they say; `summary`, `plots` and `report`, the page. Uses the data,
metrics and pages' toolkit of the rest of the package, and its couplings; nothing but the registry
in `cli` imports it.
"""
