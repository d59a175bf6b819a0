"""Whether the extra `[beam]` is installed: importing this file says so before anything slow.

Raises on import:
  UserError: Apache Beam is not installed.
"""

from tfp_ood.errors import UserError

try:
    import apache_beam as _apache_beam  # noqa: F401
except ModuleNotFoundError as error:
    if error.name != "apache_beam":
        raise
    raise UserError(
        "Apache Beam is not installed; run pip install '.[beam]' in a clone of the repository."
    ) from None
