"""The loop: resuming gives the same bits, whatever stopped it; files; errors."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from glassbit._errors import ExportError, RunError, UnreadableError, UsageError
from glassbit.deploy import Deployed, lower
from glassbit.models import to_unit
from glassbit.train import (
    CrossEntropy,
    Losses,
    SaliencyGuided,
    _checkpoint,
    evaluate,
    fit,
    load_checkpoint,
    save_checkpoint,
)
from glassbit.train._setup import splits

from .worker import made_up, network, train

WORKER = Path(__file__).with_name("worker.py")
TIMES = ("seconds", "images_per_second")


def content(out: Path) -> dict[str, Any]:
    """Everything a run leaves that must not depend on interruptions."""
    saved = load_checkpoint(out / "last.pt")
    for record in saved["history"]:
        for name in TIMES:
            del record[name]
    return saved


def assert_same_bits(one: Any, other: Any, where: str = "") -> None:
    assert type(one) is type(other), where
    if isinstance(one, torch.Tensor):
        assert torch.equal(one, other), where
    elif isinstance(one, dict):
        assert one.keys() == other.keys(), where
        for key in one:
            assert_same_bits(one[key], other[key], f"{where}/{key}")
    elif isinstance(one, list | tuple):
        assert len(one) == len(other), where
        for index, (left, right) in enumerate(zip(one, other, strict=True)):
            assert_same_bits(left, right, f"{where}/{index}")
    else:
        assert one == other, where


def log(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]


SPLIT = {"batchnorm": "split", "ramp": 0.6}


@pytest.mark.parametrize(("masking", "optimizer"), [({}, {}), (SPLIT, {}), ({}, {"optimizer": "muon"})])
def test_stopped_twice_and_resumed_equals_uninterrupted(
    tmp_path: Path, masking: dict[str, Any], optimizer: dict[str, Any]
) -> None:
    train(tmp_path / "whole", 4, masking=masking, **optimizer)
    for stop in (2, 3):
        with pytest.raises(KeyboardInterrupt):
            train(tmp_path / "parts", 4, stop_after=stop, masking=masking, **optimizer)
        assert len(log(tmp_path / "parts")) == stop - 1
    train(tmp_path / "parts", 4, masking=masking, **optimizer)
    assert_same_bits(content(tmp_path / "whole"), content(tmp_path / "parts"))
    best = [load_checkpoint(tmp_path / name / "best.pt") for name in ("whole", "parts")]
    assert_same_bits(best[0]["model"], best[1]["model"])
    assert [record["epoch"] for record in log(tmp_path / "parts")] == [1, 2, 3, 4]


DEPLOY = {"deploy_epochs": 2, "deploy_batchnorm": "reestimated"}


@pytest.mark.parametrize(("stops", "masking"), [((3,), {}), ((2, 4), SPLIT)])
def test_the_phase_in_deployed_arithmetic_resumes_to_the_same_bits(
    tmp_path: Path, stops: tuple[int, ...], masking: dict[str, Any]
) -> None:
    train(tmp_path / "whole", 2, masking=masking, **DEPLOY)
    for stop in stops:
        with pytest.raises(KeyboardInterrupt):
            train(tmp_path / "parts", 2, stop_after=stop, masking=masking, **DEPLOY)
        assert len(log(tmp_path / "parts")) == stop - 1
    train(tmp_path / "parts", 2, masking=masking, **DEPLOY)
    assert_same_bits(content(tmp_path / "whole"), content(tmp_path / "parts"))
    for name in ("best.pt", "deployed.pt"):
        one, other = (load_checkpoint(tmp_path / folder / name)["model"] for folder in ("whole", "parts"))
        assert_same_bits(one, other)


def test_the_second_set_of_batchnorm_learns_in_float_epochs_and_rests_in_deployed_ones(tmp_path: Path) -> None:
    states = []
    for epochs, deploy in ((1, 0), (2, 0), (2, 2)):
        out = tmp_path / f"{epochs}-{deploy}"
        train(out, epochs, masking=SPLIT, deploy_epochs=deploy, schedule="step", milestones=(0.99,))
        states.append(load_checkpoint(out / "last.pt")["objective"])
    assert {name.rpartition(".")[2] for name in states[0]} >= {"weight", "bias", "running_mean", "running_var"}
    assert not any(torch.equal(states[0][name], states[1][name]) for name in states[0])
    assert_same_bits(states[1], states[2])


def test_a_network_that_cannot_be_deployed_is_refused_before_the_first_epoch(tmp_path: Path) -> None:
    model, heard = network(), []
    model.append(torch.nn.Softmax(1))
    with pytest.raises(ExportError, match=r"\d+: Softmax has no integer form"):
        fit(
            CrossEntropy(model), made_up(), epochs=1, deploy_epochs=1, batch_size=24, out=tmp_path / "run",
            progress=False, probes=lambda epoch, model: heard.append(epoch),
        )  # fmt: skip
    assert heard == []
    assert not (tmp_path / "run").exists()


def test_the_objective_hears_how_much_is_done(tmp_path: Path) -> None:
    heard: list[float] = []

    class Listening(CrossEntropy):
        def forward(self, images: torch.Tensor, labels: torch.Tensor) -> Losses:
            heard.append(self.progress)
            return super().forward(images, labels)

    fit(
        Listening(network()), made_up(), epochs=2, deploy_epochs=1, batch_size=24, validation=0.25, lr=0.01,
        out=tmp_path, progress=False,
    )  # fmt: skip
    assert heard == pytest.approx([0, 1 / 6, 2 / 6, 3 / 6, 4 / 6, 5 / 6, 1, 1, 1])


def test_a_checkpoint_from_before_objectives_had_a_state_is_resumed(tmp_path: Path) -> None:
    train(tmp_path / "whole", 2)
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "parts", 2, stop_after=2)
    saved = load_checkpoint(tmp_path / "parts" / "last.pt")
    assert saved.pop("objective") == {}
    assert saved["settings"]["objective"] == (
        "SaliencyGuided(batchnorm='clean', detach=False, fill='uniform', gradient='shared', k=0.5, "
        "ranking='magnitude', weight=1.0)"
    )
    save_checkpoint(tmp_path / "parts" / "last.pt", saved)
    train(tmp_path / "parts", 2)
    assert_same_bits(content(tmp_path / "whole"), content(tmp_path / "parts"))


def test_a_ramp_is_another_setting(tmp_path: Path) -> None:
    train(tmp_path, 1)
    with pytest.raises(RunError, match=r"objective was .*ramp=0.5"):
        train(tmp_path, 1, masking={"ramp": 0.5})


def test_a_phase_in_deployed_arithmetic_can_be_added_to_a_finished_run(tmp_path: Path) -> None:
    train(tmp_path / "whole", 2, **DEPLOY)
    train(tmp_path / "later", 2)
    train(tmp_path / "later", 2, **DEPLOY)
    one, other = content(tmp_path / "whole"), content(tmp_path / "later")
    assert_same_bits(one, other)


def test_the_phase_in_deployed_arithmetic_is_logged_and_kept_apart(tmp_path: Path) -> None:
    history = train(tmp_path, 2, **DEPLOY)
    assert [record["arithmetic"] for record in history.epochs] == ["float", "float", "deployed", "deployed"]
    assert ["converted" in record for record in history.epochs] == [False, False, True, False]
    assert set(history.epochs[2]["converted"]) == {"loss", "accuracy"}
    assert history.best_epoch in (1, 2)
    assert history.deployed_epoch in (2, 3, 4)
    assert load_checkpoint(tmp_path / "best.pt")["epoch"] == history.best_epoch
    assert load_checkpoint(tmp_path / "deployed.pt")["epoch"] == history.deployed_epoch
    assert history.epochs[2]["lr"] > history.epochs[3]["lr"] > 0
    assert history.epochs[3]["lr"] < 0.1 * 0.05


def test_a_phase_in_deployed_arithmetic_that_ruins_the_network_leaves_it_as_it_was_converted(tmp_path: Path) -> None:
    history = train(tmp_path, 2, deploy_epochs=1, deploy_lr=2.0)
    converted = history.epochs[2]["converted"]
    assert history.epochs[2]["validation"]["loss"] > converted["loss"]
    assert history.epochs[2]["validation"]["accuracy"] <= converted["accuracy"]
    assert history.deployed_epoch == 2
    kept = load_checkpoint(tmp_path / "deployed.pt")
    assert kept["epoch"] == 2
    model = Deployed(network(), made_up().train.images)
    model.load_state_dict(kept["model"])
    held = evaluate(model, splits(made_up().train, 0.25, 0)[1])
    assert (held.loss, held.accuracy) == pytest.approx((converted["loss"], converted["accuracy"]))


@pytest.mark.parametrize(("optimizer", "share"), [("sgd", 0.01), ("adamw", 0.1), ("muon", 0.01)])
def test_the_rate_in_deployed_arithmetic_is_a_share_of_the_rate_before(tmp_path: Path, optimizer, share) -> None:
    options = {"optimizer": optimizer, "lr": 0.02, "deploy_epochs": 1}
    found = [
        train(tmp_path / str(given), 1, deploy_lr=given, **options).epochs[-1]["lr"] for given in (None, 0.02 * share)
    ]
    assert found[0] == pytest.approx(found[1])


def test_the_phase_in_deployed_arithmetic_leaves_a_network_that_is_its_integer_graph() -> None:
    objective = SaliencyGuided(network(), k=0.5)
    data = made_up()
    fit(objective, data, epochs=1, batch_size=16, lr=0.05, deploy_epochs=1, progress=False)
    assert isinstance(objective.model, Deployed)
    graph = lower(objective.model)
    with torch.no_grad():
        logits = objective.model.eval()(data.test.images)
    assert np.array_equal(logits.numpy(), graph.run(data.test.images.numpy()))


def test_a_finished_run_is_returned_as_it_is(tmp_path: Path) -> None:
    first = train(tmp_path, 2)
    before = (tmp_path / "last.pt").stat().st_mtime_ns
    assert train(tmp_path, 2) == first
    assert (tmp_path / "last.pt").stat().st_mtime_ns == before


def run(out: Path, epochs: int, *, processes: int = 1, **settings: object) -> subprocess.Popen[bytes]:
    command = [sys.executable]
    if processes > 1:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        command += ["-m", "torch.distributed.run", f"--nproc-per-node={processes}", f"--master-port={port}"]
    arguments = [str(WORKER), str(out), str(epochs), json.dumps({"device": "cpu", **settings})]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "MASTER_ADDR": "127.0.0.1", "GLOO_SOCKET_IFNAME": "lo"}
    return subprocess.Popen(command + arguments, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def finish(process: subprocess.Popen[bytes]) -> None:
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors.decode()[-2000:]


def test_killed_and_resumed_equals_uninterrupted(tmp_path: Path) -> None:
    finish(run(tmp_path / "whole", 60))
    process = run(tmp_path / "killed", 60)
    while not (tmp_path / "killed" / "last.pt").exists() and process.poll() is None:
        time.sleep(0.01)
    time.sleep(0.2)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert 1 <= len(load_checkpoint(tmp_path / "killed" / "last.pt")["history"]) < 60, (
        "the kill came too late to test anything"
    )
    finish(run(tmp_path / "killed", 60))
    assert_same_bits(content(tmp_path / "whole"), content(tmp_path / "killed"))


@pytest.mark.slow
def test_two_processes_resume_to_the_same_bits_and_agree_on_settings(tmp_path: Path) -> None:
    finish(run(tmp_path / "whole", 4, processes=2))
    stopped = run(tmp_path / "parts", 4, processes=2, stop_after=3)
    stopped.communicate(timeout=300)
    assert len(log(tmp_path / "parts")) == 2
    finish(run(tmp_path / "parts", 4, processes=2))
    assert_same_bits(content(tmp_path / "whole"), content(tmp_path / "parts"))
    with pytest.raises(RunError, match="world was 2 and is now 1"):
        train(tmp_path / "parts", 4)


@pytest.mark.slow
def test_two_processes_train_in_deployed_arithmetic_after_a_second_set_of_batchnorm(tmp_path: Path) -> None:
    finish(run(tmp_path / "whole", 1, processes=2, deploy_epochs=2, masking=SPLIT))
    stopped = run(tmp_path / "parts", 1, processes=2, deploy_epochs=2, masking=SPLIT, stop_after=3)
    stopped.communicate(timeout=300)
    assert len(log(tmp_path / "parts")) == 2
    finish(run(tmp_path / "parts", 1, processes=2, deploy_epochs=2, masking=SPLIT))
    assert_same_bits(content(tmp_path / "whole"), content(tmp_path / "parts"))


def test_a_torn_log_line_is_mended(tmp_path: Path) -> None:
    train(tmp_path, 2)
    path = tmp_path / "log.jsonl"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text(lines[0] + lines[1][:20])
    train(tmp_path, 2)
    assert path.read_text().splitlines(keepends=True) == lines


def test_records_hold_what_the_report_needs(tmp_path: Path) -> None:
    history = train(tmp_path, 2)
    assert log(tmp_path) == list(history.epochs)
    record = history.epochs[-1]
    assert set(record["alphas"]) == set(record["clipped"]) == set(record["zeros"]) == {"2", "5"}
    assert all(0 <= share <= 1 for part in ("clipped", "zeros") for share in record[part].values())
    assert record["train"]["loss"] == pytest.approx(
        record["train"]["classification"] + record["train"]["consistency"], rel=1e-4
    )
    assert history.best_epoch in (1, 2)


def test_the_best_checkpoint_has_the_best_validation_accuracy_and_of_equal_ones_the_lowest_loss(tmp_path: Path) -> None:
    history = train(tmp_path, 8)
    merits = [(record["validation"]["accuracy"], -record["validation"]["loss"]) for record in history.epochs]
    assert len({accuracy for accuracy, _ in merits}) < len(merits), "no two epochs are equal, so nothing is tested"
    assert history.best_epoch == merits.index(max(merits)) + 1
    assert load_checkpoint(tmp_path / "best.pt")["epoch"] == history.best_epoch


def test_it_learns(tmp_path: Path) -> None:
    history = train(tmp_path, 20)
    assert history.epochs[-1]["train"]["accuracy"] > 0.8


def test_another_run_in_the_folder_is_refused_by_what_differs(tmp_path: Path) -> None:
    train(tmp_path, 1)
    with pytest.raises(RunError, match=r"lr was 0.05 and is now 0.2"):
        train(tmp_path, 1, lr=0.2)


def test_fewer_epochs_than_were_trained_are_refused_as_another_setting(tmp_path: Path) -> None:
    floats = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 3))  # nothing that could be deployed
    fit(CrossEntropy(floats), made_up(), epochs=2, out=tmp_path, progress=False)
    with pytest.raises(RunError, match=r"epochs was 2 and is now 1"):
        fit(CrossEntropy(floats), made_up(), epochs=1, out=tmp_path, progress=False)


def test_a_damaged_checkpoint_is_refused(tmp_path: Path) -> None:
    train(tmp_path, 1)
    (tmp_path / "last.pt").write_bytes((tmp_path / "last.pt").read_bytes()[:500])
    with pytest.raises(RunError, match="must be a whole Glassbit checkpoint; got a damaged or foreign file; delete it"):
        train(tmp_path, 1)


def test_a_pickle_is_not_executed(tmp_path: Path) -> None:
    import pickle

    class Evil:
        def __reduce__(self) -> tuple[Any, tuple[str]]:
            return (os.system, (f"touch {tmp_path}/executed",))

    (tmp_path / "last.pt").write_bytes(pickle.dumps(Evil(), protocol=2))
    with pytest.raises(RunError, match="must be a whole Glassbit checkpoint"):
        load_checkpoint(tmp_path / "last.pt")
    assert not (tmp_path / "executed").exists()


def test_a_loss_that_is_not_finite_stops_the_run_with_advice(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="lower the learning rate"):
        train(tmp_path, 3, lr=1e30)
    assert not (tmp_path / "last.pt").exists()


def test_all_bad_numbers_are_named_at_once(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as problem:
        train(tmp_path, 0, lr=-1.0, validation=0.9, deploy_epochs=-1, deploy_lr=0.0, deploy_batchnorm="thawed")
    assert str(problem.value) == (
        "fit: epochs must be at least 1; got 0; pass a whole number, such as 5; "
        "deploy_epochs must be at least 0; got -1; pass a whole number, such as 1; "
        "lr must be a positive number; got -1.0; pass one, such as 0.1; "
        "deploy_lr must be a positive number; got 0.0; pass one, such as 0.001; "
        "validation must be in [0, 0.5]; got 0.9; pass a share, such as 0.1; "
        "deploy_batchnorm must be frozen or reestimated; got 'thawed'; pass one of them"
    )


@pytest.mark.parametrize(
    "settings",
    [
        {"optimizer": "adamw", "lr": 0.003},
        {"optimizer": "muon"},
        {"schedule": "cosine"},
        {"schedule": "step"},
        {"precision": "bf16-mixed"},
    ],
)
def test_every_option_trains(tmp_path: Path, settings: dict[str, object]) -> None:
    assert len(train(tmp_path, 2, **settings).epochs) == 2


def test_evaluation_counts_every_image_once_and_leaves_the_mode() -> None:
    model = network()
    data = made_up(50)
    whole, batched = evaluate(model, data.test), evaluate(model, data.test, batch_size=7)
    assert whole.n == batched.n == 50
    assert whole.accuracy == batched.accuracy
    assert whole.loss == pytest.approx(batched.loss, rel=1e-6)
    assert whole.confusion == ()
    counted = evaluate(model, data.test, batch_size=7, classes=3)
    assert (counted.loss, counted.accuracy, counted.n) == (batched.loss, batched.accuracy, 50)
    with torch.no_grad():
        predicted = model.eval()(to_unit(data.test.images)).argmax(1)
    model.train()
    expected = [[0] * 3 for _ in range(3)]
    for true, answer in zip(data.test.labels.tolist(), predicted.tolist(), strict=True):
        expected[true][answer] += 1
    assert [list(row) for row in counted.confusion] == expected
    assert model.training


@pytest.mark.parametrize("part", range(4))
def test_a_changed_bit_is_noticed(tmp_path: Path, part: int) -> None:
    train(tmp_path, 1)
    path = tmp_path / "best.pt"
    before = torch.serialization.get_crc32_options()
    with zipfile.ZipFile(path) as archive:
        members = [member for member in archive.infolist() if "/data" in member.filename and member.file_size > 8]
    member = members[part]
    data = bytearray(path.read_bytes())
    start = (
        member.header_offset
        + 30
        + sum(data[member.header_offset + at] + 256 * data[member.header_offset + at + 1] for at in (26, 28))
    )
    data[start + member.file_size // 2] ^= 0x40
    path.write_bytes(data)
    with pytest.raises(RunError, match="got a damaged or foreign file"):
        load_checkpoint(path)
    assert torch.serialization.get_crc32_options() == before


def test_checksums_are_written_whatever_torch_is_told(tmp_path: Path) -> None:
    torch.serialization.set_crc32_options(False)
    try:
        save_checkpoint(tmp_path / "x.pt", {"model": {"a": torch.ones(3)}, "epoch": 0, "history": []})
        assert not torch.serialization.get_crc32_options()
    finally:
        torch.serialization.set_crc32_options(True)
    assert load_checkpoint(tmp_path / "x.pt")["epoch"] == 0


def test_what_is_no_checkpoint_file_is_said(tmp_path: Path) -> None:
    path = tmp_path / "best.pt"
    path.symlink_to("/dev/zero")
    with pytest.raises(RunError, match="must be a file; got a pipe, socket or device, which is not opened; delete it"):
        load_checkpoint(path)
    with pytest.raises(RunError, match="must be a file; got a folder"):
        load_checkpoint(tmp_path)


def test_a_checkpoint_that_may_not_be_read_is_not_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    train(tmp_path, 2)
    before = (tmp_path / "best.pt").read_bytes()
    opened = _checkpoint.open_plain

    def refuse(path: Path) -> Any:
        if path.name == "best.pt":
            raise PermissionError(13, "Permission denied", str(path))
        return opened(path)

    monkeypatch.setattr(_checkpoint, "open_plain", refuse)
    with pytest.raises(UnreadableError, match=r"best\.pt: must be readable; got: Permission denied; allow it"):
        train(tmp_path, 2)
    assert (tmp_path / "best.pt").read_bytes() == before
