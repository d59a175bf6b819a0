"""`python -m tests.gpu`: what of this package can go wrong on a GPU, checked in four minutes."""
