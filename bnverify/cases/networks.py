"""Networks whose batch normalizations are verified while they train, by the names that cases call them."""

from __future__ import annotations

NETWORKS: dict[str, str] = {}
