"""When can the likelihood of a deep generative model be trusted? See README.md.

```python
import tfp_ood

run = tfp_ood.load_run("runs/quickstart")
print(run.summary.in_set.bits_per_dim_mean)
```

`load_run` opens a finished run, `fit` trains one, `OutlierDetector` is both for scikit-learn. What
goes wrong for a reason that can be mended is a `UserError` that says how.

At the root are the modules that all wings may import: configs, work directories, units, errors.
They import each other and no wing, but for `stages.py` and `cli.py`, which are on top. Every folder
is a wing that imports from lower ranks only: CONTRIBUTING.md has them in order. This file imports
nothing before it is asked for: `import tfp_ood` starts no TensorFlow.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tfp_ood.api.detector import ImageDetector
    from tfp_ood.api.estimator import OutlierDetector
    from tfp_ood.api.fit import default_config, fit
    from tfp_ood.api.images import ImageError
    from tfp_ood.api.run import Run, load_run
    from tfp_ood.config import Config
    from tfp_ood.errors import (
        DataError,
        DiskFullError,
        EvaluationError,
        ExportError,
        TrainingError,
        UserError,
    )
    from tfp_ood.options import ConfigError

__all__ = [
    "Config",
    "ConfigError",
    "DataError",
    "DiskFullError",
    "EvaluationError",
    "ExportError",
    "ImageDetector",
    "ImageError",
    "OutlierDetector",
    "Run",
    "TrainingError",
    "UserError",
    "default_config",
    "fit",
    "load_run",
]

_PLACES = {
    "api.detector": ("ImageDetector",),
    "api.estimator": ("OutlierDetector",),
    "api.fit": ("default_config", "fit"),
    "api.images": ("ImageError",),
    "api.run": ("Run", "load_run"),
    "config": ("Config",),
    "errors": (
        "DataError",
        "DiskFullError",
        "EvaluationError",
        "ExportError",
        "TrainingError",
        "UserError",
    ),
    "options": ("ConfigError",),
}
"""Module -> what is taken from it."""

_MODULES = {name: module for module, names in _PLACES.items() for name in names}


def __getattr__(name: str) -> Any:
    """Imports a name of `__all__` when it is first used."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
