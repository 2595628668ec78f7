"""TensorBoard's event files, read back as TensorBoard reads them."""

import io

import hydra
import lightning as L
import numpy as np
import pytest
from omegaconf import OmegaConf
from PIL import Image

from inpaint.config import check, conf_dir
from inpaint.settings import Refused
from inpaint.training.callbacks import ImagePanel
from inpaint.training.tensorboard_logger import TensorBoardLogger
from tests.training.test_callbacks import data, module

pytest.importorskip("tensorboard", reason="tensorboard is not installed")


def events(folder):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    return EventAccumulator(str(folder), size_guidance={"scalars": 0, "images": 0, "tensors": 0}).Reload()


def texts(found, tag):
    return [event.tensor_proto.string_val[0].decode() for event in found.Tensors(f"{tag}/text_summary")]


def test_scalars_and_panels_of_a_run(tmp_path):
    logger = TensorBoardLogger(str(tmp_path / "tensorboard"))
    trainer = L.Trainer(
        max_steps=4, val_check_interval=2, check_val_every_n_epoch=None, log_every_n_steps=1, accelerator="cpu",
        logger=logger, callbacks=[ImagePanel(str(tmp_path / "panels"), every=2, samples=2)],
        enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
    )  # fmt: skip
    logger.begin(0)
    trainer.fit(module(), data())
    logger.end("finished")
    found = events(tmp_path / "tensorboard")
    assert {"train/l1", "train/discriminator", "val/hole_psnr"} <= {*found.Tags()["scalars"]}
    curve = found.Scalars("train/l1")
    assert [point.step for point in curve] == [1, 2, 3, 4]
    assert curve[-1].value == pytest.approx(float(trainer.callback_metrics["train/l1"]), rel=1e-6)
    assert [point.step for point in found.Scalars("val/hole_psnr")] == [2, 4]
    panels = found.Images("panel")
    assert [panel.step for panel in panels] == [2, 4]
    for panel in panels:
        written = Image.open(tmp_path / "panels" / f"update_{panel.step:08d}.png")
        shown = Image.open(io.BytesIO(panel.encoded_image_string))
        assert np.array_equal(np.asarray(shown), np.asarray(written.convert("RGB")))


def test_settings_and_warnings_are_texts(tmp_path):
    logger = TensorBoardLogger(str(tmp_path))
    logger.log_config({"losses.l1.weight": 6.0, "seed": 0})
    logger.alert("collapse", "the discriminator has won")
    logger.end("failed")
    found = events(tmp_path)
    (settings,), (alert,) = texts(found, "settings"), texts(found, "alerts")
    assert "| `losses.l1.weight` | `6.0` |" in settings and "the discriminator has won" in alert


def test_a_run_that_goes_on_takes_back_what_came_after_its_checkpoint(tmp_path):
    for start, value in ((0, 1.0), (3, 2.0)):
        logger = TensorBoardLogger(str(tmp_path))
        logger.begin(start)
        for step in range(start, start + 5):
            logger.log_metrics({"train/l1": value}, step)
        logger.end("stopped")
    points = [(point.step, point.value) for point in events(tmp_path).Scalars("train/l1")]
    assert points == [*((step, 1.0) for step in (1, 2, 3)), *((step, 2.0) for step in range(4, 9))]


def test_a_disk_that_fails_costs_no_run(tmp_path, caplog):
    (tmp_path / "tensorboard").write_text("a file is in the way")
    logger = TensorBoardLogger(str(tmp_path / "tensorboard"))
    with caplog.at_level("WARNING"):
        for step in range(3):
            logger.log_metrics({"train/l1": 1.0}, step)
    assert [message.endswith("the run goes on without") for message in caplog.messages] == [True]


def test_the_option_builds_and_a_machine_without_it_is_told(monkeypatch, tmp_path):
    with hydra.initialize_config_dir(str(conf_dir()), version_base="1.3"):
        cfg = hydra.compose("train", ["logger=tensorboard"])
    cfg.name, cfg.paths.run = "test", str(tmp_path)
    check(cfg)
    assert set(cfg.logger) == {"csv", "tensorboard"}
    logger = hydra.utils.instantiate(OmegaConf.create(cfg).logger.tensorboard)
    assert logger.folder == tmp_path / "tensorboard"
    monkeypatch.setattr("inpaint.training.tensorboard_logger.find_spec", lambda name: None)
    with pytest.raises(Refused, match="logger: tensorboard is not installed"):
        TensorBoardLogger(str(tmp_path))
    with pytest.raises(Refused, match="flush"):
        monkeypatch.undo()
        TensorBoardLogger(str(tmp_path), flush=0)
