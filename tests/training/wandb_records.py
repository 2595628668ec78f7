"""What wandb's client has written, read back with its own messages."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple


class Stored(NamedTuple):
    """One session of a run."""

    run_id: str
    runs: list[Any]  # the client's messages
    config: dict[str, Any]
    history: list[dict[str, Any]]
    summary: dict[str, Any]
    metrics: list[Any]
    alerts: list[Any]
    artifacts: list[Any]
    preempted: bool
    exit_code: int | None


def sessions(folder: Path) -> list[Stored]:
    """All sessions in a run folder, the earliest first. The client closes its files when it ends, so it must have."""
    found = sorted(folder.glob("wandb/*run-*/*.wandb"), key=lambda path: path.parent.name.partition("run-")[2])
    return [read(path) for path in found]


def read(path: Path) -> Stored:
    """The records of a ``.wandb`` file."""
    from wandb.proto import wandb_internal_pb2

    runs, config, history, summary, metrics, alerts, artifacts = [], {}, [], {}, [], [], []
    preempted, code = False, None
    for data in _leveldb_log(path.read_bytes()[7:], first=7):
        record = wandb_internal_pb2.Record()
        record.ParseFromString(data)
        kind = record.WhichOneof("record_type")
        if kind == "run":
            runs.append(record.run)
        for item in [*record.run.config.update, *record.config.update]:
            config[item.key or "/".join(item.nested_key)] = json.loads(item.value_json)
        if kind == "history":
            history.append({i.key or "/".join(i.nested_key): json.loads(i.value_json) for i in record.history.item})
        if kind == "summary":
            summary |= {i.key or "/".join(i.nested_key): json.loads(i.value_json) for i in record.summary.update}
        if kind == "metric":
            metrics.append(record.metric)
        if kind == "alert":
            alerts.append(record.alert)
        if kind == "request" and record.request.WhichOneof("request_type") == "log_artifact":
            artifacts.append(record.request.log_artifact.artifact)
        if kind == "artifact":
            artifacts.append(record.artifact)
        preempted |= kind == "preempting"
        if kind == "exit":
            code = record.exit.exit_code
    run_id = runs[0].run_id if runs else ""
    return Stored(run_id, runs, config, history, summary, metrics, alerts, artifacts, preempted, code)


def _leveldb_log(data: bytes, first: int) -> Iterator[bytes]:
    """Records of a LevelDB log (blocks of 32 KiB; checksum 4 bytes, length 2, type 1), which is wandb's file format."""
    block, place, whole = 32768, 0, b""
    while place + 7 <= len(data):
        room = block - (place + first) % block
        if room < 7:
            place += room
            continue
        length, kind = int.from_bytes(data[place + 4 : place + 6], "little"), data[place + 6]
        whole += data[place + 7 : place + 7 + length]
        place += 7 + length
        if kind in (1, 4):  # a whole record, or the last part of one
            yield whole
            whole = b""
