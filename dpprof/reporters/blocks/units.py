"""Numbers with units, for people."""

from __future__ import annotations

from dataclasses import dataclass

from dpprof.statistics.figure import Unit

UNKNOWN = "n/a"


@dataclass(frozen=True)
class TimeUnit:
    """The unit in which a report shows its times, so that columns can be compared."""

    name: str
    nanoseconds: int

    def text(self, time_ns: float | None) -> str:
        """A time without its unit; ``n/a`` where there is none."""
        return UNKNOWN if time_ns is None else f"{time_ns / self.nanoseconds:.2f}"

    def full(self, time_ns: float | None) -> str:
        """A time with its unit."""
        return UNKNOWN if time_ns is None else f"{self.text(time_ns)} {self.name}"


def time_unit(step_ns: float | None) -> TimeUnit:
    """The unit that shows a step of that length with at least three digits before the point."""
    for name, nanoseconds in (("s", 10**9), ("ms", 10**6), ("us", 10**3)):
        if step_ns is not None and step_ns >= 10 * nanoseconds:
            return TimeUnit(name, nanoseconds)
    return TimeUnit("ns", 1) if step_ns else TimeUnit("ms", 10**6)


@dataclass(frozen=True)
class ByteUnit:
    """The unit in which a table shows its bytes."""

    name: str
    bytes: int

    def text(self, size: float | None) -> str:
        """Bytes without their unit; ``n/a`` where they are not known."""
        return UNKNOWN if size is None else f"{size / self.bytes:.2f}"


def byte_unit(largest: float | None) -> ByteUnit:
    """The largest unit that leaves a digit before the point of the largest value."""
    for name, power in (("GiB", 30), ("MiB", 20), ("KiB", 10)):
        if largest is not None and largest >= 2**power:
            return ByteUnit(name, 2**power)
    return ByteUnit("B", 1) if largest else ByteUnit("MiB", 2**20)


def share_text(share: float | None) -> str:
    """A share as per cent."""
    return UNKNOWN if share is None else f"{share:.1%}"


def bytes_text(size: float | None) -> str:
    """Bytes in a unit of their own."""
    unit = byte_unit(size)
    return UNKNOWN if size is None else f"{unit.text(size)} {unit.name}"


def rate_text(rate: float | None) -> str:
    """A rate per second, thousands set apart."""
    return UNKNOWN if rate is None else f"{rate:,.0f}"


def figure_text(value: float | None, kind: Unit, time: TimeUnit) -> str:
    """A figure with its unit; times in `time`."""
    match kind:
        case "ns":
            return time.full(value)
        case "share":
            return share_text(value)
        case "bytes":
            return bytes_text(value)
        case _:
            return rate_text(value)
