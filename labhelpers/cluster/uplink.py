"""Blocks the containers' way out of this machine: one iptables rule for each device of a default
route."""

import os
import subprocess
from dataclasses import replace
from pathlib import Path

from labhelpers.cluster.engine_record import Record, is_alive
from labhelpers.cluster.packages import search_path
from labhelpers.errors import LabError
from labhelpers.patience import patient

__all__ = ["close", "close_for", "dropped_by_rule", "open_again", "packets_dropped", "uplinks"]


def close() -> None:
    """Blocks all packets of containers from leaving this machine: containers reach each other and
    this machine, nothing beyond. Idempotent.

    Raises:
        LabError: the engine isn't one of ours, or iptables fails.
    """
    record = Record.read()
    if record is None or not is_alive(record):
        raise LabError(
            "Can't block the containers' internet access.",
            "podlab didn't start that Docker engine",
            "Block it in that engine's own settings.",
        )
    close_for(record)


def packets_dropped() -> int:
    """Counts the packets of containers that were dropped on their way out of this machine.

    Raises:
        LabError: the uplink is not closed, so there is nothing to count.
    """
    dropped = 0
    for tool, chain, device in _wanted_rules():
        count = dropped_by_rule(iptables(tool, "-v", "-S", chain, check=False), chain, device)
        if count is None:
            raise LabError(
                "The containers' internet access is not blocked.",
                f"{tool} has no rule that drops what leaves by {device}",
                "Run `PODLAB_OFFLINE=1 podlab up`, which adds the rule.",
            )
        dropped += count
    return dropped


def dropped_by_rule(listing: str, chain: str, device: str) -> int | None:
    """The packets counted by the rule that closes a device, from the output of ``iptables -v -S
    CHAIN``; None without such a rule.

    >>> listing = "-N DOCKER-USER -c 0 0\\n-A DOCKER-USER -o eth0 -c 7 420 -j DROP"
    >>> dropped_by_rule(listing, "DOCKER-USER", "eth0")
    7
    >>> dropped_by_rule(listing, "DOCKER-USER", "eth1") is None
    True
    """
    counts = []
    for line in listing.splitlines():
        words = line.split()
        if (
            words[:4] == ["-A", chain, "-o", device]
            and words[-2:] == ["-j", "DROP"]
            and "-c" in words
        ):
            counts.append(int(words[words.index("-c") + 1]))
    return sum(counts) if counts else None


def uplinks(ipv4_routes: str, ipv6_routes: str = "") -> tuple[list[str], list[str]]:
    """The devices of the default routes, from the texts of /proc/net/route and
    /proc/net/ipv6_route.

    >>> head = "Iface Destination Gateway Flags RefCnt Use Metric Mask\\n"
    >>> uplinks(f"{head}eth0 00000000 010200C0 0003 0 0 0 00000000")
    (['eth0'], [])
    """
    four = {
        words[0]
        for words in map(str.split, ipv4_routes.splitlines()[1:])
        if words[1:2] == words[7:8] == ["00000000"]
    }
    six = {
        words[-1]
        for words in map(str.split, ipv6_routes.splitlines())
        if words[:2] == ["0" * 32, "00"]
    }
    return sorted(four), sorted(six - {"lo"})


def _wanted_rules() -> list[tuple[str, str, str]]:
    four, six = (Path("/proc/net") / name for name in ("route", "ipv6_route"))
    devices = uplinks(four.read_text(), six.read_text() if six.exists() else "")
    # Docker keeps DOCKER-USER for rules of the machine's owner, but for IPv4 only.
    return [("iptables", "DOCKER-USER", device) for device in devices[0]] + [
        ("ip6tables", "FORWARD", device) for device in devices[1]
    ]


def close_for(record: Record) -> Record:
    missing = [rule for rule in _wanted_rules() if not _closed(rule)]
    # Recorded first: a rule that isn't recorded would stay forever.
    record = replace(record, closed=tuple(sorted({*record.closed, *missing})))
    record.write()
    for tool, chain, device in missing:
        if chain == "DOCKER-USER":
            iptables(tool, "-N", chain, check=False)  # there already, once an engine has run
        iptables(tool, "-I", chain, "-o", device, "-j", "DROP")
    return record


def _closed(rule: tuple[str, str, str]) -> bool:
    tool, chain, device = rule
    return (
        dropped_by_rule(iptables(tool, "-v", "-S", chain, check=False), chain, device) is not None
    )


def iptables(tool: str, *words: str, check: bool = True) -> str:
    try:
        done = subprocess.run(
            [tool, "-w", "5", *words],
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=patient(15),
            env={**os.environ, "PATH": search_path()},
        )
    except (FileNotFoundError, subprocess.TimeoutExpired) as error:
        raise LabError(
            "Can't read or write the rules of iptables.",
            str(error),
            "Install iptables if it's missing; then run the command again.",
        ) from error
    if check and done.returncode:
        raise LabError(
            "Can't block the containers' internet access.",
            f"{tool} {' '.join(words)}: {done.stderr}",
            "Make that command work as root, then run `podlab up` again.",
        )
    return done.stdout


def open_again(record: Record) -> None:
    """Removes the rules that were added for this engine."""
    for tool, chain, device in record.closed:
        iptables(tool, "-D", chain, "-o", device, "-j", "DROP", check=False)
