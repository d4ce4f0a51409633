"""Is this machine fit to record and trade? One check, one fact, one thing that mends it. Nothing here raises."""

from __future__ import annotations

import ctypes
import json
import os
import resource
import shutil
import ssl
import statistics
import struct
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

from tickerml.errors import ConfigError

if TYPE_CHECKING:
    from tickerml.config import Loaded

__all__ = ["Check", "diagnose"]

OPEN_FILES_MIN = 256
"""Sockets, segments and the ledger of a run with dozens of instruments stay well below this."""

SYNC_ROUNDS = 5
SYNC_BYTES = 256 * 1024
"""One block of the tape."""

CLOCK_OFFSET_S_MAX = 1.0
"""Beyond this a venue's clock and ours disagree for no network reason."""

TIME_PATHS = {"binance_usdm": "/fapi/v1/time", "binance_coinm": "/dapi/v1/time"}
BLOCKED = (403, 451)
"""Answers that mean: not from this address, ever (exchanges.md 1.1)."""


class Check(NamedTuple):
    """One finding; `state` is ok, warn or fail, `fix` is empty where there is nothing to mend."""

    name: str
    state: str
    fact: str
    fix: str = ""


def diagnose(load: Callable[[], Loaded], data: Path) -> list[Check]:
    """Every check, in the order in which a person would mend them.

    Parameters
    ----------
    load : reads the configuration; a ConfigError becomes a finding and the checks that need it are left out.
    data : the data folder in effect.
    """
    checks = [_python(), _native(), _open_files(), _clock()]
    try:
        loaded = load()
    except ConfigError as e:
        mend = "mend each; `tickerml config check` lists them"
        return [*checks, *(Check("config", "fail", problem, mend) for problem in e.problems)]
    checks.append(Check("config", "ok", f"{len(loaded.origins)} keys"))
    return [*checks, *_disk(loaded, data), *_venues(loaded)]


def _python() -> Check:
    fact = f"{sys.version_info.major}.{sys.version_info.minor}.{sys.version_info.micro}, {struct.calcsize('P') * 8} bit"
    if sys.version_info < (3, 11) or sys.maxsize < 2**32:
        return Check("python", "fail", fact, "install a 64-bit Python 3.11 or newer")
    return Check("python", "ok", fact)


def _native() -> Check:
    try:
        from tickerml import _native
    except ImportError as e:
        return Check("native", "fail", f"the compiled module does not load: {e}", "make build")
    profile = str(getattr(_native, "BUILD_PROFILE", "unknown"))
    if profile == "debug":
        return Check("native", "warn", "debug build: correct, but slow", "make build")
    return Check("native", "ok", f"{profile} build")


def _open_files() -> Check:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < OPEN_FILES_MIN:
        return Check(
            "open_files", "warn", f"at most {soft} open files", f"ulimit -n {OPEN_FILES_MIN} (hard limit {hard})"
        )
    return Check("open_files", "ok", f"{soft} allowed")


def _clock() -> Check:
    """The kernel's own word on whether something disciplines the clock (adjtimex, read only)."""
    mend = "switch time synchronisation on: timedatectl set-ntp true"
    buffer = ctypes.create_string_buffer(256)
    try:
        state = ctypes.CDLL(None, use_errno=True).adjtimex(buffer)
    except (OSError, AttributeError) as e:
        return Check("clock", "warn", f"cannot ask the kernel: {e}", mend)
    status = struct.unpack_from("i", buffer, 40)[0]
    if state < 0 or status & 0x40:
        return Check("clock", "warn", "not synchronised: stamps will be marked clock_unsynced", mend)
    return Check("clock", "ok", "synchronised")


def _disk(loaded: Loaded, data: Path) -> Iterator[Check]:
    limits = loaded.config.monitoring
    try:
        data.mkdir(parents=True, exist_ok=True)
        sync_ms = _sync_ms(data)
    except OSError as e:
        yield Check("data_folder", "fail", f"{data}: {e.strerror}", "choose a folder you can write with --data DIR")
        return
    yield Check("data_folder", "ok", f"{data} can be written")
    free_mib = shutil.disk_usage(data).free >> 20
    low = free_mib < limits.disk_free_mib_min
    yield Check(
        "disk_free",
        "warn" if low else "ok",
        f"{free_mib} MiB free",
        "free some space, or choose another disk with --data DIR" if low else "",
    )
    slow = sync_ms > limits.fsync_ms_max
    yield Check(
        "disk_sync",
        "warn" if slow else "ok",
        f"one block is on disk after {sync_ms:.1f} ms (median)",
        "a slow disk widens what a power cut may lose: use an SSD" if slow else "",
    )
    if _is_sd_card(data) and loaded.config.exchanges.recording.profile != "sd":
        yield Check(
            "sd_card",
            "warn",
            "the data folder lies on an SD card",
            "set recording.profile: sd in exchanges_config.yaml, or use an SSD",
        )


def _sync_ms(folder: Path) -> float:
    block = os.urandom(SYNC_BYTES)
    took = []
    with tempfile.TemporaryFile(dir=folder) as file:
        for _ in range(SYNC_ROUNDS):
            begin = time.perf_counter()
            os.write(file.fileno(), block)
            os.fdatasync(file.fileno())
            took.append((time.perf_counter() - begin) * 1e3)
    return statistics.median(took)


def _is_sd_card(folder: Path) -> bool:
    device = folder.stat().st_dev
    link = Path(f"/sys/dev/block/{os.major(device)}:{os.minor(device)}")
    return "mmcblk" in str(link.resolve()) if link.exists() else False


def _venues(loaded: Loaded) -> list[Check]:
    venues = [(name, venue) for name, venue in loaded.config.exchanges.venues if venue.enabled]
    timeout_s = loaded.config.monitoring.reach_timeout_s
    if not venues:
        return [Check("venues", "warn", "no venue is enabled", "set enabled: true in exchanges_config.yaml")]
    with ThreadPoolExecutor(len(venues)) as pool:
        return list(pool.map(lambda item: _reach(item[0], item[1].rest_url, timeout_s), venues))


def _reach(name: str, url: str, timeout_s: float) -> Check:
    """Name service, TLS and one request; the answer also says how far the clocks are apart."""
    check = f"venue:{name}"
    try:
        status, body = _get(url, TIME_PATHS.get(name, "/api/v3/time"), timeout_s)
    except ssl.SSLCertVerificationError as e:
        return Check(
            check,
            "fail",
            f"{url}: certificate refused: {e.verify_message}",
            "check this machine's clock and its CA certificates",
        )
    except (OSError, HTTPException) as e:
        return Check(check, "warn", f"{url}: not reached: {e}", "check the network; `tickerml run --demo` needs none")
    if status in BLOCKED:
        return Check(
            check,
            "fail",
            f"{url}: HTTP {status}: this venue does not serve this address",
            f"disable {name}; from the United States enable binance_us instead",
        )
    if status != 200:
        return Check(check, "warn", f"{url}: HTTP {status}", "try again later")
    return _offset(check, url, body)


def _offset(check: str, url: str, body: bytes) -> Check:
    try:
        offset_s = json.loads(body)["serverTime"] / 1e3 - time.time()
    except (ValueError, KeyError, TypeError):
        return Check(check, "warn", f"{url}: the answer is not the venue's", "a proxy or portal may stand in between")
    if abs(offset_s) > CLOCK_OFFSET_S_MAX:
        return Check(
            check, "warn", f"{url}: reached; clocks differ by {offset_s:+.1f} s", "synchronise this machine's clock"
        )
    return Check(check, "ok", f"{url}: reached, clocks within {abs(offset_s) * 1e3:.0f} ms")


def _get(url: str, path: str, timeout_s: float) -> tuple[int, bytes]:
    parts = urlsplit(url)
    assert parts.hostname, "the configuration checks URLs"
    connection: Any = HTTPConnection if parts.scheme == "http" else HTTPSConnection
    client = connection(parts.hostname, parts.port, timeout=timeout_s)
    try:
        client.request("GET", path)
        answer = client.getresponse()
        return answer.status, answer.read(65_536)
    finally:
        client.close()
