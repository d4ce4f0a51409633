"""Peak memory of one program over the same market, in a process of its own that loads nothing of the other's.

Prints KiB. `ours` reads event files, `theirs` an array that was written without compression: from the file to the
last fill. `nothing` only imports what `ours` does.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path


def main(who: str, data: Path) -> None:
    asked = json.loads((data / "peak.json").read_text())
    if who == "theirs":
        import numpy as np
        from peer_grid import Ladder, run

        run(np.load(data / "rows.npy"), Ladder(**asked["ladder"]), asked["tick"], asked["lot"], tuple(asked["bounds"]))
    else:
        from tickerml import _native
        from tickerml.sources.recorded import load_events

        files = sorted(data.glob("events/**/*.parquet")) if who == "ours" else []
        events = load_events(files)
        if who == "ours":
            session = _native.Session.backtest(events.rows, asked["settings"])
            _native.run_grid(session, asked["grid"])
    # Not ru_maxrss: that keeps the peak of the process which forked this one.
    status = Path("/proc/self/status").read_text()
    print(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
