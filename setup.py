"""Installation: `pip install .`; extras `[beam]`, `[bench]`, `[docs]`, `[gpu]` and `[test]`."""

import pathlib

from setuptools import find_packages, setup

setup(
    name="tfp_ood",
    version="0.1.0",
    description="When can the likelihood of a deep generative model be trusted?",
    long_description=pathlib.Path(__file__).with_name("README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.10",
    packages=find_packages(include=["tfp_ood", "tfp_ood.*"]),
    package_data={"tfp_ood": ["py.typed"]},
    # TensorFlow, TFP and tf_keras fit together in these versions only; the rest as tested.
    install_requires=[
        "absl-py>=2.1,<3",
        "importlib_resources>=6.0,<8",  # TFDS needs it and does not say so
        "matplotlib>=3.8,<4",
        "ml_collections>=1.1,<2",
        "numba>=0.61,<0.69",
        "numpy>=2.0,<3",
        "pillow>=10.0,<14",
        "pyarrow>=16.0,<27",
        "requests>=2.31,<3",
        "scikit-learn>=1.5,<2",
        "tensorboard>=2.20,<2.22",
        "tensorflow>=2.21,<2.22",
        "tensorflow-datasets>=4.9.10,<4.10",
        "tensorflow-probability>=0.25,<0.26",
        "tf_keras>=2.21,<2.22",
        "tqdm>=4.66,<5",
    ],
    extras_require={
        "beam": ["apache-beam>=2.77,<3"],
        "bench": ["normflows>=1.7,<2", "torch>=2.13,<3"],  # peers of tests/benchmarks/peers.py
        "docs": ["pdoc>=15,<17"],
        "gpu": ["tensorflow[and-cuda]>=2.21,<2.22"],
        "test": [
            "ipykernel>=6.29,<8",  # these two run the notebook
            "nbclient>=0.10,<0.12",
            "pdoc>=15,<17",
            "pytest>=8,<10",
            "pytest-xdist>=3.7,<4",
            "ruff>=0.12,<0.18",
        ],
    },
    entry_points={"console_scripts": ["tfp-ood = tfp_ood.cli:console_main"]},
)
