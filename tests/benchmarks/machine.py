"""What a figure stands with: the machine, its versions and the date."""

import datetime
import importlib.metadata
import platform
from collections.abc import Iterable
from typing import Any

from tfp_ood import devices

_CPUINFO = "/proc/cpuinfo"


def facts(packages: Iterable[str] = ("tensorflow", "tensorflow-probability")) -> dict[str, Any]:
    """For a benchmark's JSON: processor, cores, Python, versions of packages, and the date.

    Args:
      packages: by their names in the registry; those that are not installed are left out.
    """
    versions = {}
    for name in packages:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return {
        "processor": processor(),
        "cores": devices.num_cores(),
        "python": platform.python_version(),
        "versions": versions,
        "date": datetime.date.today().isoformat(),
    }


def processor() -> str:
    """What the processor calls itself, or the kind of machine where it does not."""
    try:
        with open(_CPUINFO, encoding="utf-8") as file:
            lines = [line.partition(":") for line in file]
    except OSError:  # not Linux
        lines = []
    names = [value.strip() for key, _, value in lines if key.strip() == "model name"]
    return names[0] if names else platform.processor() or platform.machine()
