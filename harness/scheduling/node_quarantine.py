"""Nodes that lose one group after another rest for a while: one with a broken GPU would fail every trial. Pure."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

LOSSES_IN_A_ROW = 2
"""Groups that a node may lose without a result in between. One may be a trial's fault, or chance."""
REST_S = 600.0
"""How long a node is left alone the first time; four times as long each time after."""
LONGEST_REST_S = 86_400.0


@dataclass
class NodeHealth:
    """What is known of each node, by Ray's ids."""

    _losses: dict[str, int] = field(default_factory=dict)
    """In a row."""
    _rests_until_s: dict[str, float] = field(default_factory=dict)

    def record_success(self, nodes: Collection[str]) -> None:
        """A group on these nodes brought a trial to a result."""
        for node in nodes:
            self._losses.pop(node, None)
            self._rests_until_s.pop(node, None)

    def record_loss(self, nodes: Collection[str], now_s: float) -> None:
        """A group on these nodes was lost, and brought no trial to a result."""
        for node in nodes:
            losses = self._losses[node] = self._losses.get(node, 0) + 1
            if losses >= LOSSES_IN_A_ROW:
                rest_s = min(REST_S * 4 ** (losses - LOSSES_IN_A_ROW), LONGEST_REST_S)
                self._rests_until_s[node] = now_s + rest_s

    def quarantined(self, now_s: float) -> frozenset[str]:
        """Nodes to leave alone, where there are others."""
        return frozenset(node for node, until_s in self._rests_until_s.items() if now_s < until_s)
