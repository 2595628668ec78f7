"""Embeddings in one file, by names: both kinds of file, and what is refused."""

import io
import zipfile

import numpy as np
import pytest
import safetensors.torch
import torch

from inpaint.files.embeddings import read_embeddings
from inpaint.settings import Refused


def test_both_kinds_of_file(tmp_path):
    rows = {"deep/a.png": np.arange(4.0), "b": np.ones(4, np.float16)}
    np.savez(tmp_path / "rows.npz", **rows)
    safetensors.torch.save_file({name: torch.from_numpy(row) for name, row in rows.items()}, tmp_path / "r.safetensors")
    for name in ("rows.npz", "r.safetensors"):
        found = read_embeddings(tmp_path / name, "key")
        assert {*found} == {*rows} and all(row.dtype == torch.float32 for row in found.values())
        assert found["deep/a.png"].tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ({"a": np.ones(4), "b": np.ones(3)}, r"key: b in .* is no embedding of 4 finite numbers"),
        ({"a": np.ones((2, 2))}, r"its shape is \(2, 2\)"),
        ({"a": np.array([np.nan])}, "finite"),
        ({"a": np.array([{}], dtype=object)}, "cannot be read"),
        ({}, "there is nothing in"),
        ({"a": np.zeros(0)}, "there is nothing in"),
    ],
)
def test_what_is_no_embedding_is_refused(rows, says, tmp_path):
    np.savez(tmp_path / "rows.npz", **rows)
    with pytest.raises(Refused, match=says):
        read_embeddings(tmp_path / "rows.npz", "key")


def test_what_is_no_such_file_is_refused(tmp_path):
    (tmp_path / "broken.npz").write_bytes(b"PK no archive")
    (tmp_path / "broken.safetensors").write_bytes(b"nothing")
    (tmp_path / "rows.txt").write_bytes(b"nothing")
    for name, says in {
        "broken.npz": "cannot be read",
        "broken.safetensors": "cannot be read",
        "rows.txt": "neither",
    }.items():
        with pytest.raises(Refused, match=f"key: .*{name}.*{says}"):
            read_embeddings(tmp_path / name, "key")
    with pytest.raises(Refused, match=r"key: there is no file .*absent.npz"):
        read_embeddings(tmp_path / "absent.npz", "key")


def test_an_array_that_claims_more_than_there_is_memory_for_is_refused(tmp_path):
    """Its file is small, and so is what the archive says of it."""
    head = io.BytesIO()
    np.lib.format.write_array_header_1_0(head, {"descr": "<f8", "fortran_order": False, "shape": (10**15,)})
    with zipfile.ZipFile(tmp_path / "rows.npz", "w") as archive:
        archive.writestr("a.npy", head.getvalue())
    with pytest.raises(Refused, match=r"key: .*rows\.npz cannot be read"):
        read_embeddings(tmp_path / "rows.npz", "key")


def test_a_file_that_unfolds_to_more_than_there_is_room_for_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("inpaint.files.embeddings.LARGEST", 1 << 10)
    np.savez_compressed(tmp_path / "rows.npz", a=np.zeros(4096))
    with pytest.raises(Refused, match="unfolds to more"):
        read_embeddings(tmp_path / "rows.npz", "key")
