"""Events of a training for TensorBoard, written with its own package.

Its record format and messages are used directly: its file writer, and that of PyTorch, would import
TensorFlow where that is installed.
"""

import os
import struct
import time
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, BinaryIO

from ptycho_core.stopping import StopReason
from ptycho_core.tracking.base import LOG_FOLDER, Epochs, Settings, Tracker

__all__ = ["TensorBoardEvents"]

_PREFIX = "events.out.tfevents"  # TensorBoard finds files by this name


class TensorBoardEvents(Tracker):
    """Writes one file of events: values at the number of their epoch, settings and pictures.

    The file of a resumed training is read after those of before, whose later epochs it replaces.

    Parameters
    ----------
    output
        Output folder of the training.
    settings
        Settings of the training.
    resumed
        Whether to keep the events that are there; else the first epoch replaces them.
    """

    pictures = True

    def __init__(self, output: Path, settings: Settings, *, resumed: bool) -> None:
        self.folder = output / LOG_FOLDER
        self.settings = settings
        self.resumed = resumed
        self.protocol = import_module("tensorboard.compat.proto.event_pb2")
        self.summaries = import_module("tensorboard.compat.proto.summary_pb2")
        self.file: BinaryIO | None = None
        self.records: Any = None
        self.step = 0

    def epoch(self, epochs: Epochs) -> None:
        """Write the values of an epoch."""
        self.step = len(epochs)
        if self.file is None:
            self.file = self._open()
        summary = self.summaries.Summary
        values = [summary.Value(tag=k, simple_value=v) for k, v in epochs[-1].items()]
        self._write(summary=summary(value=values))
        self.file.flush()

    def results(self, files: Sequence[Path], pictures: Mapping[str, bytes]) -> None:  # noqa: ARG002 - the tracker's signature
        """Write the pictures."""
        if self.file is None:
            return
        for name, content in pictures.items():
            width, height = struct.unpack(">2I", content[16:24])  # the header of every PNG
            image = self.summaries.Summary.Image(
                width=width, height=height, colorspace=4, encoded_image_string=content
            )
            value = self.summaries.Summary.Value(tag=name, image=image)
            self._write(summary=self.summaries.Summary(value=[value]))

    def close(self, stopped: StopReason | None) -> None:  # noqa: ARG002 - the tracker's signature
        """Close the file."""
        if self.file is not None:
            self.file.close()

    def _open(self) -> BinaryIO:
        """Begin a file: what it replaces, and the settings."""
        self.folder.mkdir(parents=True, exist_ok=True)
        if not self.resumed:
            for old in self.folder.glob(f"{_PREFIX}.*"):
                old.unlink()
        file = (self.folder / f"{_PREFIX}.{time.time():.6f}.{os.getpid()}").open("xb")
        writer = import_module("tensorboard.summary.writer.record_writer")
        self.records = writer.RecordWriter(file)
        self._write(file_version="brain.Event:2")
        start = self.protocol.SessionLog(status=self.protocol.SessionLog.START)
        self._write(session_log=start)  # epochs from this one on are new
        hparams = import_module("tensorboard.plugins.hparams.summary_v2")
        text = import_module("tensorboard.plugins.text.summary_v2")
        self._write(summary=hparams.hparams_pb(dict(self.settings)))
        rows = [f"| {name} | {value} |" for name, value in self.settings.items()]
        self._write(summary=text.text_pb("settings", "\n".join(["| | |", "|---|---|", *rows])))
        return file

    def _write(self, **event: Any) -> None:
        message = self.protocol.Event(wall_time=time.time(), step=self.step, **event)
        self.records.write(message.SerializeToString())
