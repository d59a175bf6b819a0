"""What went wrong for a reason that the user can mend: shown as one message, exit code 2."""


class UserError(Exception):
    """Base of all errors whose message is for the user; no traceback is shown."""


def first_line(error: Exception) -> str:
    """The first line of what an error of a library says; its name where it says nothing."""
    text = str(error).strip()
    return text.splitlines()[0] if text else type(error).__name__


class DataError(UserError):
    """Images that cannot be found, fetched, read or brought to the model's shape."""


class TrainingError(UserError):
    """A training that cannot start, go on or be resumed."""


class EvaluationError(UserError):
    """Scores that cannot be computed or do not belong to this run."""


class ExportError(UserError):
    """A model, or a guard, that cannot be exported."""


class DiskFullError(UserError):
    """There is no room for what is to be written; exit code 75, since the same command goes on."""


class WorkerLostError(Exception):
    """Another worker of this training is gone: whoever started them should start all again."""
