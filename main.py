"""Entry point from a checkout: `python main.py --config=... --workdir=...` (see --help)."""

from tfp_ood.cli import console_main

if __name__ == "__main__":
    console_main()
