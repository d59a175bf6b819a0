"""Scoring with an exported model by Apache Beam, for sets that outgrow a machine (extra `[beam]`).

`python -m tfp_ood.beam` is its command line. May import everything but the stages and the command
line of experiments, which do not import it.
"""
