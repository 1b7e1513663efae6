"""What training says while it runs."""

from __future__ import annotations

import pytest

from glassbit.train._progress import Display, told

RECORD = {
    "epoch": 3,
    "train": {"loss": 0.5, "classification": 0.375, "consistency": 0.125, "accuracy": 0.875},
    "validation": {"loss": 0.4, "accuracy": 0.75},
    "images_per_second": 1234.5,
}


def test_an_epoch_in_a_line():
    assert told(RECORD) == "loss 0.500 = ce 0.375 + kl 0.125, train 87.50%, val 75.00%, 1234 images/s"


@pytest.mark.parametrize("enabled", [True, False])
def test_without_a_terminal_it_is_a_line_per_epoch_on_stderr(enabled, capsys):
    display = Display("run", epochs=4, steps=2, done=2, enabled=enabled)
    with display.progress:
        display.step(3)
        display.epoch(RECORD)
    out, err = capsys.readouterr()
    assert out == ""
    assert err == (f"run epoch 3/4: {told(RECORD)}\n" if enabled else "")
