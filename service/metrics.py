"""All metrics: names, labels from closed sets, and their export, correct across several workers.

Counts are flushed into prometheus-client's metrics before a scrape and every tenth of a second.
"""

import asyncio
import multiprocessing
import os
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import choose_encoder

from service import __version__
from service.counters import BUCKETS, BufferedCounter, BufferedHistogram, Collections, Decisions, processes
from service.model import Statistics, Status

EXPIRY_WINDOWS = {"1d": 86400, "7d": 7 * 86400, "14d": 14 * 86400, "30d": 30 * 86400}
# Commands of sweeps, seals, deliveries and counts, timed as one name, because each name adds a kilobyte to a scrape.
_BACKGROUND = frozenset(
    (
        # Commands on keys and the server, then on hashes, lists and streams, then on sorted sets.
        *("EXISTS", "EXPIRE", "INFO", "SET", "TIME", "UNLINK"),
        *("HDEL", "HGETALL", "HINCRBY", "HSET"),
        *("LPUSH", "LRANGE", "LTRIM", "XADD", "XRANGE", "XREVRANGE"),
        *("ZADD", "ZREM"),
        # Scripts of the sweep, the audit log and usage, webhooks, and names.
        *("expire_tokens", "mend_token", "purge_token", "tell_expiries", "trim_index"),
        *("put_hours_away", "record_usage", "seal_events", "touch_sessions", "trim_events"),
        *("announce_expiries", "begin_webhook", "hold_lock", "put_webhook", "read_events", "write_notice"),
        *("announce_tokens", "free_name", "replace_holder", "void_reservation"),
    )
)
# The folder where several workers' counts meet; prometheus-client reads it when it is imported.
_SHARED = "PROMETHEUS_MULTIPROC_DIR"
# The name of the folder that `serve` makes for these counts, and removes.
_FOLDER_PREFIX = "token-service-metrics-"
NO_KIND = "none"
_ZERO = re.compile(r"0(?:\.0*)?")
# Only these, because a client may send any word as a method, and each would become a time series.
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


# prometheus-client misreads a quoted version and q=0, so it is given the media type that was chosen here.
_OPENMETRICS = "application/openmetrics-text; version=1.0.0"


def _wants_openmetrics(accept: str) -> bool:
    """True if this Accept field has OpenMetrics, without q=0 and in an existing version (RFC 9110, 12.5.1)."""
    for offer in accept.lower().split(","):
        media_type, *parameters = (part.strip() for part in offer.split(";"))
        if media_type != "application/openmetrics-text":
            continue
        given = dict(part.partition("=")[::2] for part in parameters)
        version = given.get("version", "1.0.0").strip('"')
        if version in ("0.0.1", "1.0.0") and not _ZERO.fullmatch(given.get("q", "1")):
            return True
    return False


class _State(msgspec.Struct):
    """Gauges read from Redis just before a scrape; only the process that answers the scrape reports them."""

    statistics: Statistics | None = None
    expiring: dict[str, int] = {}
    sealed: int | None = None
    idle: dict[str, int] | None = None
    never_used: int = 0
    up: bool = False
    clock_seconds_apart: float = 0.0
    unknown_checks: int = 0

    def collect(self) -> Iterator[Metric]:
        yield GaugeMetricFamily("tokens_redis_up", "1 if Redis answers and may be used", self.up)
        apart = "difference between the clocks of Redis and of this machine"
        yield GaugeMetricFamily("tokens_clock_seconds_apart", apart, self.clock_seconds_apart)
        unknown = "checks of Redis that could not be made, because INFO is forbidden"
        yield GaugeMetricFamily("tokens_checks_unknown", unknown, self.unknown_checks)
        if (counts := self.statistics) is None:
            return
        by_status = {status.value: getattr(counts, status.value) for status in Status}
        yield _gauges("tokens_managed", "managed tokens by status", "status", by_status)
        outstanding = "one-time tokens issued and not spent"
        yield GaugeMetricFamily("tokens_one_time_outstanding", outstanding, counts.one_time_outstanding)
        yield GaugeMetricFamily("tokens_sessions", "session tokens in force", counts.sessions)
        yield _gauges("tokens_expiring", "active tokens that expire within", "window", self.expiring)
        if self.sealed is not None:
            sealed = "audit entries ever sealed; it falls only if the log was set back"
            yield GaugeMetricFamily("tokens_audit_sealed", sealed, self.sealed)
        if self.idle is not None:
            yield _gauges("tokens_idle", "active tokens neither created nor used within", "window", self.idle)
            yield GaugeMetricFamily("tokens_never_used", "active tokens that were never used", self.never_used)


def _gauges(name: str, documentation: str, label: str, values: Mapping[str, int]) -> Metric:
    family = GaugeMetricFamily(name, documentation, labels=[label])
    for value, count in values.items():
        family.add_metric([value], count)
    return family


class _Timings(dict[str, BufferedHistogram]):
    """The observations of a histogram by its one label; made when a value first occurs."""

    def __init__(self, histogram: Histogram) -> None:
        self._histogram = histogram

    def __missing__(self, label: str) -> BufferedHistogram:
        timing = self[label] = BufferedHistogram(self._histogram.labels(label))
        return timing


class Metrics:
    def __init__(self) -> None:
        # Otherwise each counter would have a second series with the time of its creation.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        # Not the library's global registry, in which a second service in one process would find its names taken.
        self._registry = registry = CollectorRegistry()
        self._buffered: list[BufferedCounter] = []
        self._timings: list[_Timings] = []
        # Labels: the kind, or NO_KIND if no secret of ours was presented, and the final outcome.
        self.validations = self._counter_of(
            "tokens_validations", "validations by kind and final outcome", ["kind", "outcome"]
        )
        validations = self._timings_of("tokens_validation_seconds", "time to answer a validation", "path")
        self._validation_timings = {path: validations[path] for path in ("fast", "ordinary")}
        self.decisions = Decisions(
            issued=self._counter_of("tokens_issued", "tokens issued", ["kind"]),
            revoked=self._counter_of("tokens_revoked", "tokens revoked", ["kind"]),
            consumed=self._counter_of("tokens_consumed", "tries to consume a one-time token", ["outcome"]),
            logins=self._counter_of("tokens_login", "tries to sign in", ["outcome"]),
        )
        self._http_requests = self._counter_of(
            "tokens_http_requests", "requests except validations", ["route", "method", "status"]
        )
        self._http_timings = self._timings_of("tokens_http_request_seconds", "time to answer a request", "route")
        self._redis_timings = self._timings_of("tokens_redis_seconds", "time Redis took", "operation")
        self.redis_errors = self._counter_of("tokens_redis_errors", "failed Redis commands", ["error"])
        self.audit_events = self._counter_of("tokens_audit_events", "audit entries written", ["action"])
        self.tampered = Counter("tokens_integrity_failures", "records whose seal was wrong", registry=registry)
        self.limits_paused = Counter(
            "tokens_limits_paused", "requests admitted without limits: Redis full", registry=registry
        )
        self.webhook_deliveries = self._counter_of(
            "tokens_webhook_deliveries", "attempts to deliver an event, and events dropped unread", ["outcome"]
        )
        self.usage_dropped = Counter("tokens_usage_dropped", "flushes of usage that failed", registry=registry)
        # Without this mode there would be one series per process, with its pid as a label.
        build = Gauge(
            "tokens_build_info", "the running version", ["version"], registry=registry, multiprocess_mode="max"
        )
        build.labels(__version__).set(1)
        passes = Counter("python_gc_collections", "Python's garbage collections", ["generation"], registry=registry)
        self._collections = Collections(passes)
        self.state = _State()

    def _counter_of(self, name: str, documentation: str, labels: list[str]) -> BufferedCounter:
        counter = BufferedCounter(Counter(name, documentation, labels, registry=self._registry))
        self._buffered.append(counter)
        return counter

    def _timings_of(self, name: str, documentation: str, label: str) -> _Timings:
        timings = _Timings(Histogram(name, documentation, [label], buckets=BUCKETS, registry=self._registry))
        self._timings.append(timings)
        return timings

    def validation_timing(self, path: str) -> BufferedHistogram:
        """The histogram for validations on this path: fast or ordinary."""
        return self._validation_timings[path]

    def requested(self, route: str, method: str, status: int, seconds: float, *, trace_id: str = "") -> None:
        """Count a request by its route's template, never by its path. `trace_id`: a trace that can be followed."""
        self._http_requests.inc(route, method if method in _METHODS else "other", status)
        timing = self._http_timings[route]
        timing.observe(seconds)
        if trace_id:
            timing.show(trace_id, seconds)

    def refused(self, status: int) -> None:
        """Count a request refused before its route was known: too large, too slow, not HTTP, or too many."""
        self._http_requests.inc("refused", "other", status)

    def sealed(self, entries: int) -> None:
        self.state.sealed = entries

    def redis_took(self, operation: str, seconds: float) -> None:
        """Time one kind of Redis operation: a script's name, a command's, or `roundtrip` for all that came back
        together. All operations that no caller waits for are one kind.
        """
        kind = "background" if operation in _BACKGROUND else operation
        self._redis_timings[kind].observe(seconds)

    def flush(self) -> None:
        for counter in self._buffered:
            counter.flush()
        self._collections.flush()
        for timings in self._timings:
            for timing in timings.values():
                timing.flush()

    def close(self) -> None:
        """Flush once more. A worker whose parent was killed removes the folder that the parent made."""
        self.flush()
        parent, folder = multiprocessing.parent_process(), Path(os.environ.get(_SHARED, ""))
        if parent is not None and not parent.is_alive() and folder.name.startswith(_FOLDER_PREFIX):
            shutil.rmtree(folder, ignore_errors=True)

    async def render(self, accept: str) -> tuple[bytes, str]:
        """The exposition and its content type: OpenMetrics if asked for, else Prometheus text."""
        self.flush()
        encode, content_type = choose_encoder(_OPENMETRICS if _wants_openmetrics(accept) else "")
        # In a thread, because it takes some milliseconds, and more with many workers.
        return await asyncio.to_thread(encode, _Gathered(self._registry, self.state)), content_type


class _Gathered:
    """The content of one scrape: this process's metrics, or those of all workers, and the state of Redis."""

    def __init__(self, own: CollectorRegistry, state: _State) -> None:
        self._own = own
        self._state = state

    def collect(self) -> Iterable[Metric]:
        if _SHARED in os.environ:
            # Imported only with several workers: a single process has no files of others to read.
            from prometheus_client import multiprocess  # noqa: PLC0415

            collector: Any = multiprocess.MultiProcessCollector  # untyped in prometheus-client
            yield from collector(None).collect()
        else:
            yield from self._own.collect()
        yield from self._state.collect()
        yield from processes(_pids())


def _pids() -> list[int]:
    """The processes whose metrics meet here: this process, or the parent and all workers."""
    if _SHARED not in os.environ:
        return [os.getpid()]
    # prometheus-client names its files `counter_PID.db`; the files of ended workers stay.
    workers = {int(path.stem.rpartition("_")[2]) for path in Path(os.environ[_SHARED]).glob("counter_*.db")}
    return [os.getppid(), *sorted(workers)]
