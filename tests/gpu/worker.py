"""A process of one part: `python -m tests.gpu.worker PART [--smoke]`, for `python -m tests.gpu`.

Writes READY when it is prepared, waits for a line, then writes its rows. With `card` in the place
of a part it writes what the GPU calls itself.
"""

import json
import sys
from collections.abc import Sequence

CARD = "card"
NO_CARD = "CPU"
READY = "READY"
ROWS = "ROWS "


def main(words: Sequence[str]) -> None:
    """Prepares a part, waits, and finishes it."""
    name, smoke = words[0], "--smoke" in words[1:]
    from tests.gpu import parts
    from tfp_ood import devices

    devices.leave_out_keras_3()  # before anything imports TensorFlow
    devices.share_gpus()
    if name == CARD:  # with TensorFlow's own notes, which say why there is no GPU
        from tests.gpu import machine

        print(machine.card(), flush=True)
        return
    if name in parts.NEEDS_TWO:
        from tests.gpu import mirrored

        mirrored.divide_device()
    devices.start_tensorflow()
    finish = parts.prepare(name, smoke)
    print(READY, flush=True)
    sys.stdin.readline()
    rows = [[row.part, row.what, row.found, row.wanted, row.ok] for row in finish()]
    print(ROWS + json.dumps(rows), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
