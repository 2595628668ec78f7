import io
import json
import pickle
import tarfile

import fsspec
import numpy as np
import pytest
import torch
from torch.utils.data import Dataset

from inpaint.data.loader import ResumableLoader, ShardBatches
from inpaint.data.shards import Shards
from inpaint.pictures.reading import BadImage
from tests.data.numbered import encoded, mask, number_of


def write(address, members, mode="w"):
    """A tar file of (name, bytes) at any address."""
    with fsspec.open(address, "wb") as file, tarfile.open(fileobj=file, mode=mode) as tar:
        for name, data in members:
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))


COUNTS = (9, 4, 12, 5)


@pytest.fixture
def shards(tmp_path):
    """Four shards to train on, of 30 samples in all, and one of 7 to validate."""
    number = 0
    for shard, count in enumerate((*COUNTS, 7)):
        members = []
        for sample in range(count):
            members += [
                (f"s/{sample:03d}.png", encoded(number)),
                (f"s/{sample:03d}.mask.png", mask()),
                (f"s/{sample:03d}.txt", f" Bild {number} \n".encode()),
                (f"s/{sample:03d}.cls", b"%d" % (number % 3)),
                (f"s/{sample:03d}.json", json.dumps({"class": number, "text": f"picture {number}"}).encode()),
                (f"s/{sample:03d}.xmp", b"of no use"),
            ]
            number += 1
        write(str(tmp_path / f"{shard:03d}.tar"), members)
    return tmp_path


def source(shards, **settings):
    settings = {"block": 4, "streams": 2} | settings
    return Shards(f"{shards}/{{000..003}}.tar", f"{shards}/004.tar", **settings)


def numbers(found, split="train"):
    return [number_of(found.read(split, row)) for row in range(found.count(split))]


def no_seeking(monkeypatch):
    """As with a web server that sends files from the beginning only."""
    monkeypatch.setattr("fsspec.implementations.local.LocalFileOpener.seekable", lambda self: False)
    monkeypatch.setattr("fsspec.implementations.local.LocalFileOpener.seek", None)


@pytest.fixture
def opened(monkeypatch):
    """Addresses in the order in which they are opened."""
    found, really = [], fsspec.open
    monkeypatch.setattr(fsspec, "open", lambda address, *a, **k: (found.append(address), really(address, *a, **k))[1])
    return found


# ---- what is read


def test_samples_are_numbered_shard_after_shard(shards):
    found = source(shards)
    assert found.shards("train") == list(COUNTS) and found.shards("validation") == [7]
    assert numbers(found) == list(range(30)) and numbers(found, "validation") == list(range(30, 37))
    assert found.name("train", 9) == "001.tar/0" and found.name("train", 29) == "003.tar/4"
    assert found.size("train", 0) is None and not found.masked
    assert found.read("train", 3).keys() == {"image"}


def test_webdataset_finds_the_same_samples(shards):
    """Grouping by the first dot, checked against the library that the layout comes from."""
    import webdataset

    theirs = webdataset.WebDataset(f"{shards}/{{000..003}}.tar", shardshuffle=False)
    found = source(shards, caption="txt")
    for row, sample in enumerate(theirs):
        assert found.read("train", row)["caption"] == sample["txt"].decode().strip()
        assert {"png", "mask.png", "txt", "cls", "json", "xmp"} <= sample.keys()
    assert row == 29


def test_any_order_of_rows_reads_the_right_samples(shards):
    """Back and forth, over more places than there are streams."""
    found = source(shards)
    order = np.random.default_rng(0).permutation(30).tolist()
    assert [number_of(found.read("train", row)) for row in order] == order


def test_masks_labels_and_captions_lie_beside_the_image(shards):
    found = source(shards, mask="mask.png", label="cls", caption="txt")
    assert found.masked
    picture = found.read("train", 5)
    assert picture["label"] == 2 and picture["caption"] == "Bild 5"
    assert picture["mask"].dtype == torch.uint8 and picture["mask"].shape == (1, 10, 12)
    assert picture["mask"].sum() == 12 and picture["mask"][0, 2:5, 3:7].all()
    other = source(shards, label="json:class", caption="json:text").read("validation", 0)
    assert other["label"] == 30 and other["caption"] == "picture 30"
    small = source(shards, mask="mask.png", resize=5).read("train", 0)
    assert small["image"].shape == (3, 5, 6) and small["mask"].shape == (1, 5, 6)


def test_extensions_are_those_of_files_on_any_system_and_chosen_in_order(tmp_path):
    members = [("x.PNG", encoded(1)), ("x.jpg", encoded(2, form="JPEG")), ("y.input.png", encoded(3))]
    write(str(tmp_path / "a.tar"), [*members, ("._y.png", b"of a Mac"), ("folder/", b"")])
    write(str(tmp_path / "b.tar"), [("z.png", encoded(4))])
    found = Shards(str(tmp_path / "a.tar"), str(tmp_path / "b.tar"), image=["png", "jpg"])
    assert numbers(found) == [1]
    found = Shards(str(tmp_path / "a.tar"), str(tmp_path / "b.tar"), image=["input.png", "jpg", "png"])
    assert found.count("train") == 2 and number_of(found.read("train", 1)) == 3


@pytest.mark.parametrize("place", ["memory", "compressed", "no seeking"])
def test_shards_at_other_addresses(tmp_path, place, monkeypatch):
    base = "memory://bucket/run" if place == "memory" else str(tmp_path)
    ending = "tar.gz" if place == "compressed" else "tar"
    for shard in range(3):
        members = [(f"{n}.png", encoded(10 * shard + n)) for n in range(6)]
        write(f"{base}/{shard}.{ending}", members, "w:gz" if place == "compressed" else "w")
    if place == "no seeking":
        no_seeking(monkeypatch)
    found = Shards(f"{base}/[01].{ending}", [f"{base}/2.{ending}"], block=4)
    assert found.shards("train") == [6, 6]
    assert numbers(found) == [*range(6), *range(10, 16)] and numbers(found, "validation") == list(range(20, 26))
    assert number_of(found.read("train", 11)) == 15 and number_of(found.read("train", 0)) == 0


# ---- counts


def test_counts_are_made_once_and_read_afterwards(shards, tmp_path, opened):
    file = tmp_path / "counts.json"
    assert numbers(source(shards, counts=str(file))) == list(range(30))
    assert json.loads(file.read_text()) == {f"{n:03d}.tar": count for n, count in enumerate((*COUNTS, 7))}
    assert list(tmp_path.glob("counts.json*")) == [file]
    opened.clear()
    found = source(shards, counts=str(file))
    assert opened == [] and found.count("train") == 30
    assert numbers(found) == list(range(30))


def test_counting_reads_headers_only(tmp_path, monkeypatch):
    for name in "ab":
        write(str(tmp_path / f"{name}.tar"), [(f"{n}.png", bytes(1 << 20)) for n in range(4)])
    read, really = [], tarfile.ExFileObject.read
    monkeypatch.setattr(tarfile.ExFileObject, "read", lambda self, *a: (read.append(1), really(self, *a))[1])
    assert Shards(str(tmp_path / "a.tar"), str(tmp_path / "b.tar")).count("train") == 4
    assert not read


def test_members_that_are_of_no_use_are_counted(shards, monkeypatch):
    said = []
    monkeypatch.setattr("inpaint.data.shards.say", said.append)
    source(shards, mask="mask.png", label="cls")
    assert "counted 37 samples in 5 shards" in said[0]
    assert said[1].startswith("data: ignored 111 members of the shards: 37 .") and "37 .xmp" in said[1]


@pytest.mark.parametrize(("wrong", "says"), [({"002.tar": 13}, r"002\.tar has fewer samples than the 13"),
                                             ({"002.tar": 11}, r"002\.tar has more samples than the 11"),
                                             ({"002.tar": 8}, r"002\.tar has more samples than the 8")])  # fmt: skip
def test_wrong_counts_are_found_while_reading(shards, tmp_path, wrong, says):
    right = {f"{n:03d}.tar": count for n, count in enumerate((*COUNTS, 7))}
    (tmp_path / "counts.json").write_text(json.dumps(right | wrong))
    found = source(shards, counts=str(tmp_path / "counts.json"))
    with pytest.raises(ValueError, match=rf"data\.counts: {says}") as raised:
        numbers(found)
    assert not isinstance(raised.value, BadImage)  # it must not be skipped


@pytest.mark.parametrize("text", ["", "[]", '{"000.tar": "many"}', '{"000.tar": -1}', '{"000.tar": 2.5}'])
def test_a_counts_file_of_another_form(shards, tmp_path, text):
    (tmp_path / "counts.json").write_text(text)
    with pytest.raises(ValueError, match=r"data\.counts: .* is no JSON of the form"):
        source(shards, counts=str(tmp_path / "counts.json"))


def test_a_counts_file_that_lacks_shards(shards, tmp_path):
    (tmp_path / "counts.json").write_text('{"000.tar": 9, "other.tar": 3}')
    with pytest.raises(ValueError, match=r"data\.counts: .* lacks 4 of 5 shards: 001\.tar, 002\.tar"):
        source(shards, counts=str(tmp_path / "counts.json"))
    with pytest.raises(ValueError, match=r"data\.counts: .*missing is no folder"):
        source(shards, counts=str(tmp_path / "missing" / "counts.json"))


# ---- what is refused


def test_wrong_lists_of_shards(shards):
    def refused(train, validation, says):
        with pytest.raises(ValueError, match=says):
            Shards(train, validation)

    one, last = f"{shards}/000.tar", f"{shards}/004.tar"
    refused(f"{shards}/x*.tar", last, r"data\.train: there are no shards .*x\*\.tar")
    refused(f"{shards}/{{0..1.tar", last, r"data\.train: the braces .* do not match")
    refused([], last, r"data\.train: names no shards")
    refused(f"{shards}/*.tar", last, r"data\.validation: 1 shards are there twice, or train as well: .*004\.tar")
    refused([one, one], last, r"data\.validation: 1 shards are there twice")
    refused(f"{shards}/gone.tar", last, r"gone\.tar: the shard cannot be opened \(.*No such file")
    refused(
        "nosuch://bucket/a.tar", last, r"data\.train: nosuch://bucket/a\.tar cannot be reached \(Protocol not known"
    )
    with pytest.raises(ValueError, match=r"data\.block: 0 is less than 1"):
        Shards(one, last, block=0)
    with pytest.raises(ValueError, match=r"data\.train: no samples with a picture \(tif\)"):
        Shards(one, last, image=["tif"])


def test_a_query_is_not_part_of_a_name(monkeypatch):
    """It may hold a secret, and its question mark is no wildcard."""
    monkeypatch.setattr(Shards, "_counted", lambda self, every, file: dict.fromkeys(every, 1))
    found = Shards("https://host/a.tar?key=secret", "https://host/b.tar?key=secret")
    assert found.name("train", 0) == "a.tar/0"


def test_shards_of_one_name_in_two_folders(tmp_path):
    for folder, number in (("a", 1), ("b", 2)):
        (tmp_path / folder).mkdir()
        write(str(tmp_path / folder / "0.tar"), [("x.png", encoded(number))])
    found = Shards(str(tmp_path / "a" / "0.tar"), str(tmp_path / "b" / "0.tar"))
    assert numbers(found) == [1] and found.name("validation", 0).endswith("b/0.tar/0")


@pytest.mark.parametrize(
    ("members", "says"),
    [
        ([("a.png", b"no picture")], r"x\.tar/a\.png: not a readable picture"),
        ([("a.png", encoded(0)), ("a.txt", b"\xff")], r"x\.tar/a\.txt: no txt that can be read"),
        ([("a.png", encoded(0))], r"x\.tar/a: has no \.txt, only png"),
    ],
)
def test_bad_samples_are_named(tmp_path, members, says):
    write(str(tmp_path / "x.tar"), members)
    write(str(tmp_path / "y.tar"), [("y.png", encoded(1))])
    found = Shards(str(tmp_path / "x.tar"), str(tmp_path / "y.tar"), caption="txt")
    with pytest.raises(BadImage, match=says):
        found.read("train", 0)


def test_labels_and_masks_that_do_not_fit(tmp_path):
    write(str(tmp_path / "x.tar"), [("a.png", encoded(0)), ("a.cls", b"cat"), ("a.seg.png", mask((12, 9)))])
    write(str(tmp_path / "y.tar"), [("y.png", encoded(1))])
    both = (str(tmp_path / "x.tar"), str(tmp_path / "y.tar"))
    with pytest.raises(BadImage, match=r"x\.tar/a\.cls: 'cat' is no number of a class"):
        Shards(*both, label="cls").read("train", 0)
    with pytest.raises(
        BadImage, match=r"a\.seg\.png: the mask has 12 x 9 pixels, its picture x\.tar/a\.png has 12 x 10"
    ):
        Shards(*both, mask="seg.png").read("train", 0)
    with pytest.raises(BadImage, match=r"x\.tar/a: has no \.json"):
        Shards(*both, label="json:class").read("train", 0)


def test_broken_shards_are_named(tmp_path):
    write(str(tmp_path / "y.tar"), [("y.png", encoded(1))])
    write(str(tmp_path / "x.tar"), [(f"{n}.png", encoded(n)) for n in range(4)])
    whole = (tmp_path / "x.tar").read_bytes()
    both = (str(tmp_path / "x.tar"), str(tmp_path / "y.tar"))
    (tmp_path / "counts.json").write_text('{"x.tar": 4, "y.tar": 1}')
    for damaged in (
        b"",
        b"text",
        whole[:700],
        whole[: 3 * 1024 + 520],
        whole[: 4 * 1024],
        whole[:1024] + b"x" * 512 + whole[1536:],
    ):
        (tmp_path / "x.tar").write_bytes(damaged)
        with pytest.raises(ValueError, match=r"x\.tar: the shard (cannot be opened|is broken)|data\.train: no samples"):
            Shards(*both).read("train", 3)
        with pytest.raises(
            ValueError, match=r"x\.tar: the shard (cannot be opened|is broken)|x\.tar has fewer"
        ) as raised:
            Shards(*both, counts=str(tmp_path / "counts.json")).read("train", 3)
        assert not isinstance(raised.value, BadImage)
    write(str(tmp_path / "x.tar"), [("a.png", encoded(0)), ("a.PNG", encoded(1))])
    with pytest.raises(ValueError, match=r"x\.tar: a\.PNG is there twice in a row"):
        Shards(*both)


def test_links_and_devices_in_a_shard_are_not_followed(tmp_path):
    link, pipe = tarfile.TarInfo("b.png"), tarfile.TarInfo("c.png")
    link.type, link.linkname, pipe.type = tarfile.SYMTYPE, "/etc/hostname", tarfile.FIFOTYPE
    with tarfile.open(tmp_path / "x.tar", "w") as tar:
        for entry in (link, pipe):
            tar.addfile(entry)
        entry = tarfile.TarInfo("../../a.png")
        entry.size = len(encoded(3))
        tar.addfile(entry, io.BytesIO(encoded(3)))
    write(str(tmp_path / "y.tar"), [("y.png", encoded(1))])
    assert numbers(Shards(str(tmp_path / "x.tar"), str(tmp_path / "y.tar"))) == [3]


def test_a_member_that_claims_too_much_is_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr("inpaint.data.tar.LARGEST_MEMBER", 50)
    write(str(tmp_path / "x.tar"), [("a.png", encoded(0))])
    write(str(tmp_path / "y.tar"), [("y.png", encoded(1))])
    with pytest.raises(BadImage, match=r"x\.tar/a\.png: "):
        Shards(str(tmp_path / "x.tar"), str(tmp_path / "y.tar")).read("train", 0)


def test_a_connection_that_breaks_once_is_opened_again(shards, monkeypatch):
    found, really, broken = source(shards), tarfile.ExFileObject.read, []

    def read(self, *arguments):
        if len(broken) < fails:
            broken.append(1)
            raise ConnectionResetError("gone")
        return really(self, *arguments)

    monkeypatch.setattr(tarfile.ExFileObject, "read", read)
    fails = 1
    assert numbers(found) == list(range(30)) and broken
    broken.clear()
    fails = 2
    with pytest.raises(ValueError, match=r"000\.tar: the shard is broken \(gone\)"):
        found.read("train", 0)


# ---- read through a loader


class Rows(Dataset):
    def __init__(self, shards):
        self.shards = shards

    def __getitem__(self, row):
        epoch, index = row
        assert number_of(self.shards.read("train", index)) == index
        return 1000 * epoch + index


def loader(found, workers=0, batch_size=2, **settings):
    settings = {"streams": found.streams, "block": found.block} | settings
    order = ShardBatches(found.shards("train"), batch_size, seed=3, shuffle=True, **settings)
    return ResumableLoader(Rows(found), order, num_workers=workers)


def handed_out(made):
    return [batch.tolist() for batch in made]


@pytest.mark.parametrize("seeking", [True, False])
def test_every_number_of_workers_reads_the_same_batches(shards, seeking, monkeypatch, opened):
    """Also where the loading process has files open that its workers are forked with, and reads on in them later."""
    if not seeking:
        no_seeking(monkeypatch)
    found = source(shards)
    reference = handed_out(loader(found))
    assert sorted(row for batch in reference for row in batch) == list(range(30))
    found.read("train", 0)
    assert handed_out(loader(found, workers=2)) == reference
    opened.clear()
    assert [number_of(found.read("train", row)) for row in range(4, 9)] == list(range(4, 9))
    assert not opened  # no worker has moved its place in the file


@pytest.mark.filterwarnings("ignore:This DataLoader will create")
@pytest.mark.parametrize(("before", "after"), [(0, 3), (2, 0)])
def test_resume_in_the_middle_of_a_block(shards, before, after):
    found = source(shards)
    reference, interrupted, seen = handed_out(loader(found)), loader(found, before), []
    for batch in interrupted:
        seen.append(batch.tolist())
        if len(seen) == 3:
            break
    state = interrupted.state_dict()
    fresh = loader(source(shards), after)
    fresh.load_state_dict(state)
    assert seen + handed_out(fresh) == reference


def test_a_resumed_epoch_does_not_read_earlier_shards_again(shards, opened):
    found = source(shards, streams=1)
    whole = loader(found)
    opened.clear()
    handed_out(whole)
    order = list(dict.fromkeys(opened))
    assert len(opened) <= 5 and len(order) == 4  # each once, and the first again where the ring closes
    fresh_source = source(shards, streams=1)
    fresh = loader(fresh_source)
    last = handed_out(loader(found))[-1][-1]
    fresh.load_state_dict({"handed_out": len(fresh) - 1, "batches": len(fresh)})
    opened.clear()
    assert [batch[-1] for batch in handed_out(fresh)] == [last]
    assert 1 <= len(opened) <= 2  # those of the last batch


def test_an_epoch_opens_each_shard_once_for_each_stream_that_is_in_it(shards, opened):
    found = source(shards, streams=3)
    opened.clear()
    handed_out(loader(found))
    assert len(opened) <= 4 + 2 * 3


def test_ranks_read_disjoint_and_complete_shares(shards):
    found = source(shards)
    parts = [handed_out(loader(found, rank=rank, ranks=3, batch_size=5)) for rank in range(3)]
    rows = [row for part in parts for batch in part for row in batch]
    assert [len(part) for part in parts] == [2, 2, 2] and sorted(rows) == list(range(30))


def test_at_most_a_block_of_each_stream_is_held(shards):
    found = source(shards, streams=2, block=4)
    for row in (0, 10, 14, 26, 5, 20):
        found.read("train", row)
        assert sum(len(reader.held) for reader in found._readers["train"]) <= 8


def test_a_source_travels_to_a_process_that_is_not_forked(shards):
    found = source(shards)
    found.read("train", 0)
    assert numbers(pickle.loads(pickle.dumps(found))) == list(range(30))
