"""Rows are whole, in order and once, whatever happens to the process."""

import csv

import torch

from inpaint.training.metrics_file import MetricsFile


def read(folder):
    with (folder / "metrics.csv").open() as file:
        return [{name: value for name, value in row.items() if value} for row in csv.DictReader(file)]


def test_rows_and_new_columns(tmp_path):
    log = MetricsFile(str(tmp_path), every=2)
    log.log_metrics({"train/l1": torch.tensor(0.5)}, 0)
    assert not (tmp_path / "metrics.csv").exists()
    log.log_metrics({"val/psnr": 20}, 0)
    log.log_metrics({"train/l1": 0.1, "train/r1": 1.5}, 1)
    log.finalize("success")
    assert read(tmp_path) == [
        {"step": "0", "train/l1": "0.5"},
        {"step": "0", "val/psnr": "20.0"},
        {"step": "1", "train/l1": "0.1", "train/r1": "1.5"},
    ]
    assert [path.name for path in tmp_path.iterdir()] == ["metrics.csv"]


def test_a_resumed_run_goes_on_after_the_rows_of_its_checkpoint(tmp_path):
    log = MetricsFile(str(tmp_path), every=1)
    for step in range(120):
        log.log_metrics({"train/l1": step / 7}, step)
    with (tmp_path / "metrics.csv").open("a") as file:
        file.write("12")  # of 120: torn, and taken for update 12 by whoever does not look
    log = MetricsFile(str(tmp_path), every=1)
    log.begin(100)
    for step in range(100, 110):
        log.log_metrics({"train/l1": step / 7}, step)
    assert [(int(row["step"]), float(row["train/l1"])) for row in read(tmp_path)] == [(n, n / 7) for n in range(110)]


def test_a_run_from_the_beginning_keeps_nothing(tmp_path):
    (tmp_path / "metrics.csv").write_text("step,train/l1\n0,1.0\n")
    MetricsFile(str(tmp_path)).begin(0)
    assert not (tmp_path / "metrics.csv").exists()


def test_another_process_wrote_before(tmp_path):
    """As with ddp_spawn, where the evaluation follows in the process that did not train."""
    here, there = MetricsFile(str(tmp_path), every=1), MetricsFile(str(tmp_path), every=1)
    there.log_metrics({"train/l1": 0.5}, 0)
    here.log_metrics({"test/psnr": 20}, 1)
    assert read(tmp_path) == [{"step": "0", "train/l1": "0.5"}, {"step": "1", "test/psnr": "20.0"}]
