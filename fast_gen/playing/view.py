"""The live status line in the terminal during playing."""

from __future__ import annotations

import math
import time
from types import TracebackType

from rich.console import Console
from rich.live import Live
from rich.text import Text

from fast_gen.playing.player import Player

_SECONDS_BETWEEN = 0.12
_QUIETEST_DECIBELS = -60.0
_BAR_WIDTH = 12


def bar(fraction: float, width: int = _BAR_WIDTH) -> str:
    """Returns a bar of text.

    >>> bar(0.5, width=4)
    '[##..]'
    """
    filled = round(min(1.0, max(0.0, fraction)) * width)
    return f"[{'#' * filled}{'.' * (width - filled)}]"


def level_fraction(level: float) -> float:
    """Returns a magnitude on a scale of decibels, from 0 at -60 dB to 1 at full scale.

    >>> level_fraction(1.0), level_fraction(0.0)
    (1.0, 0.0)
    """
    decibels = 20 * math.log10(level) if level > 0 else _QUIETEST_DECIBELS
    return max(0.0, 1.0 - decibels / _QUIETEST_DECIBELS)


class LiveView:
    """Shows time and speed, and the buffer and level of a player; only if the console is a terminal."""

    def __init__(self, console: Console, player: Player | None) -> None:
        self.speed: float | None = None
        self._player = player
        self._began = time.monotonic()
        self._shown_at = -math.inf
        self._live = Live(console=console, auto_refresh=False, transient=True) if console.is_terminal else None

    def __enter__(self) -> LiveView:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def update(self) -> None:
        """Shows the current state, at most every 0.12 s."""
        now = time.monotonic()
        if self._live is None or now - self._shown_at < _SECONDS_BETWEEN:
            return
        self._shown_at = now
        self._live.update(Text(self.line(), no_wrap=True, overflow="ellipsis"), refresh=True)

    def line(self) -> str:
        """Returns the current state as text."""
        parts = [f"{time.monotonic() - self._began:6.1f} s"]
        if self.speed is not None:
            parts.append(f"{self.speed:.2f} x real time")
        if (player := self._player) is not None and player.lost is None:
            if player.playing:
                parts.append(f"buffer {bar(player.fill_level)} {player.buffered_seconds:4.1f} s")
                parts.append(f"level {bar(level_fraction(player.level()))}")
            else:
                parts.append(f"buffering, {player.buffered_seconds:.1f} s so far")
        return "  ".join(parts)
