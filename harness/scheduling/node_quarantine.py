"""The quarantine of nodes that lose several groups in a row: a node with a broken GPU would fail every trial."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

LOSSES_IN_A_ROW = 2
"""Groups that a node may lose without a result in between. A single loss may be a trial's fault, or chance."""
REST_S = 600.0
"""Seconds of the first quarantine; each further one is four times as long."""
LONGEST_REST_S = 86_400.0


@dataclass
class NodeHealth:
    """The losses and quarantines of each node, by Ray's ids."""

    _losses: dict[str, int] = field(default_factory=dict)
    """Node -> losses in a row."""
    _rests_until_s: dict[str, float] = field(default_factory=dict)

    def record_success(self, nodes: Collection[str]) -> None:
        """Record that a group on these nodes brought a trial to a result."""
        for node in nodes:
            self._losses.pop(node, None)
            self._rests_until_s.pop(node, None)

    def record_loss(self, nodes: Collection[str], now_s: float) -> None:
        """Record that a group on these nodes was lost without bringing a trial to a result."""
        for node in nodes:
            losses = self._losses[node] = self._losses.get(node, 0) + 1
            if losses >= LOSSES_IN_A_ROW:
                rest_s = min(REST_S * 4 ** (losses - LOSSES_IN_A_ROW), LONGEST_REST_S)
                self._rests_until_s[node] = now_s + rest_s

    def quarantined(self, now_s: float) -> frozenset[str]:
        """Return the nodes to avoid if there are others."""
        return frozenset(node for node, until_s in self._rests_until_s.items() if now_s < until_s)
