"""When can the likelihood of a deep generative model be trusted? See README.md.

At the root are the modules that all wings may import: configs, work directories, units, errors.
They import each other and no wing, but for `stages.py` and `cli.py`, which are on top. Every folder
is a wing that imports from lower ranks only: CONTRIBUTING.md has them in order.
"""
