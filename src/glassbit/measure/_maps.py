"""What maps and regions must be, wherever they come in."""

from __future__ import annotations

from glassbit._arrays import array

MAPS = array(3, "(n, h, w)", "iuf")
REGION = array(3, "(n, h, w)", "b")
