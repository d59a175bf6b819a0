"""How well a score tells out-of-distribution images: metrics and their intervals.

`detection.py` has AUROC, AUPRC and FPR95, `bootstrap.py` confidence intervals. Arrays in, numbers
out; imports nothing but the modules at the root of the package.
"""
