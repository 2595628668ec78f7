"""Loggers are told what a run has to say; which they are is nobody's business."""

import lightning as L
from lightning.pytorch.loggers import CSVLogger

from inpaint.training.metrics_file import MetricsFile
from inpaint.training.run_logger import RunLogger, told


class Minutes(RunLogger):
    """A third logger: it writes down what it is told of, and nothing has to know it."""

    name, version = "minutes", "0"

    def __init__(self):
        super().__init__()
        self.heard = []

    def log_metrics(self, metrics, step=None):
        self.heard.append("metrics")

    def alert(self, title, text):
        self.heard.append((title, text))

    def end(self, how):
        self.heard.append(how)


def test_who_is_told(tmp_path):
    """Lightning's own loggers take figures alone."""
    loggers = [CSVLogger(str(tmp_path)), MetricsFile(str(tmp_path)), Minutes()]
    trainer = L.Trainer(accelerator="cpu", logger=loggers, enable_checkpointing=False, enable_progress_bar=False)
    assert [*told(trainer)] == loggers[1:]
    for logger in told(trainer):
        logger.alert("won", "by far")
        logger.end("stopped")
    assert loggers[2].heard == [("won", "by far"), "stopped"]


def test_what_a_logger_has_no_use_for_does_nothing(tmp_path):
    logger = Minutes()
    assert not logger.takes_pictures and not logger.log_model
    logger.begin(3, True)
    logger.log_config({"seed": 0})
    logger.log_hyperparams({"seed": 0})
    logger.log_panel("panel", None, 3)
    logger.log_samples("samples", None, None, {}, 3)
    logger.log_generator(tmp_path / "generator.ckpt", {})
    assert not logger.heard
