"""One broken run in a folder never stops a comparison, however it is broken: it is named and left out.

Real: folders as they may be sent, and all that `inpaint-compare` does with them. No file here takes memory or time:
large ones are sparse, and what would expand is a few lines.
"""

import json
import os
import random
import re

import pytest

from inpaint import rows
from inpaint.compare.command import main
from inpaint.compare.comparison import compare
from inpaint.files.untrusted import TABLE, TEXT, YAML, Unreadable, parse_json, read_bytes, read_text, read_yaml
from inpaint.settings import Refused
from tests.compare.folders import add_validation, changed, make_run

ALIASES = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 10)
)
MERGES = "a0: &a0 {x: 1}\n" + "".join(f"a{n}: &a{n} {{<<: [*a{n - 1}, *a{n - 1}]}}\n" for n in range(1, 30))


@pytest.fixture
def folder(tmp_path):
    """Two good runs and one for a test to break."""
    for number, psnr in enumerate((20.0, 21.0, 22.0)):
        run = make_run(tmp_path / "runs" / str(number), psnr, changed(seed=number, name=f"run {number}"))
        add_validation(run)
    return tmp_path / "runs"


def text(content):
    return lambda path: path.write_text(content)


def sparse(size):
    def make(path):
        path.touch()
        os.truncate(path, size)

    return make


def fifo(path):
    path.unlink(missing_ok=True)
    os.mkfifo(path)


def folder_instead(path):
    path.unlink(missing_ok=True)
    path.mkdir()


def summary(**fields):
    return text(json.dumps({"method": "unet", "parameters": 1, "updates": 1, "train_seconds": 1.0} | fields))


BROKEN = {
    "aliases that stand for a billion values": ("config.yaml", text(ALIASES)),
    "merged keys that do": ("config.yaml", text(MERGES)),
    "yaml that refers to itself": ("config.yaml", text("seed: &a [*a]\n")),
    "a mapping that refers to itself": ("config.yaml", text("&a {seed: *a}\n")),
    "deep yaml": ("config.yaml", text("a: " + "[" * 50_000)),
    "deep yaml that is whole": ("config.yaml", text("a: " + "[" * 500 + "]" * 500)),
    "a set": ("config.yaml", text("seed: !!set {a, b}\n")),
    "bytes": ("config.yaml", text("seed: !!binary aGVsbG8=\n")),
    "an object": ("config.yaml", text("seed: !!python/object/apply:os.system [true]\n")),
    "a key that is a list": ("config.yaml", text("? [a]\n: 1\n")),
    "a huge number in yaml": ("config.yaml", text("seed: 0x" + "f" * 9000 + "\n")),
    "no mapping": ("config.yaml", text("[1, 2]")),
    "no UTF-8": ("config.yaml", lambda path: path.write_bytes(b"\xff\xfe")),
    "yaml of 3 GB": ("config.yaml", sparse(3 << 30)),
    "a pipe for a config": ("config.yaml", fifo),
    "a folder for a config": ("config.yaml", folder_instead),
    "1e400 updates": ("summary.json", text('{"method": "x", "parameters": 1, "updates": 1e400, "train_seconds": 1}')),
    "NaN parameters": ("summary.json", text('{"method": "x", "parameters": NaN, "updates": 1, "train_seconds": 1}')),
    "a number of 400 digits": ("summary.json", summary(train_seconds=10**400)),
    "a number of 5000 digits": ("summary.json", text('{"method": "x", "parameters": 1' + "0" * 5000 + "}")),
    "deep JSON": ("summary.json", text("[" * 100_000)),
    "half a character": ("summary.json", text('{"method": "\\ud800"}')),
    "no object": ("summary.json", text("[]")),
    "a method that is no text": ("summary.json", summary(method={"a": 1})),
    "overrides that are a number": ("summary.json", summary(overrides=7)),
    "a pipe for a summary": ("summary.json", fifo),
    "a summary of 3 GB": ("summary.json", sparse(3 << 30)),
    "results of 3 GB": ("results.csv", sparse(3 << 30)),
    "results cut short": ("results.csv", text("area,method,images,perfect,hole_psnr\nall,unet")),
    "a hole area of words": ("results.csv", text("area,method,images,perfect\nall,unet,9,0\nhuge,unet,9,0\n")),
    "infinitely many pictures": ("results.csv", text("area,method,images,perfect\nall,unet,1e400,0\n")),
    "a field of a megabyte": ("results.csv", text("area,method,images,perfect\nall," + "x" * (1 << 20) + ",9,0\n")),
    "records of words": ("records.csv", text("method,index,area,hole_psnr\nunet,first,0.1,20\n")),
    "deep results": ("results.json", text('{"measured": ' + "[" * 100_000)),
    "networks that are a list": ("results.json", text('{"measured": {"networks": [1, 2]}}')),
    "a pipe for results": ("results.json", fifo),
    "curves of 3 GB": ("metrics.csv", sparse(3 << 30)),
    "a pipe for curves": ("metrics.csv", fifo),
    "curves with a field of a megabyte": ("metrics.csv", text("step,train/l1\n0," + "x" * (1 << 20) + "\n")),
    "curves of no UTF-8": ("metrics.csv", lambda path: path.write_bytes(b"step,train/l1\n0,\xff\n")),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_named_and_left_out(kind, folder):
    file, break_it = BROKEN[kind]
    break_it(folder / "1" / file)
    report = compare([folder])
    assert len(report.entries[0].runs) == 2
    (line,) = report.left_out
    assert line.startswith(f"{folder / '1'}: {file}: ") and len(line) < 600 and "\n" not in line


@pytest.mark.parametrize("kind", [kind for kind, (file, _) in BROKEN.items() if file in ("records.csv", "metrics.csv")])
def test_tables_in_python(kind, folder):
    """`inpaint.rows` has no other reader: a line, or, of what is merely no number, the text."""
    file, break_it = BROKEN[kind]
    break_it(folder / "1" / file)
    try:
        rows(folder / "1", table=file.removesuffix(".csv"))
    except Refused as error:
        assert file in str(error) and len(str(error)) < 600 and "\n" not in str(error)
    else:
        assert kind == "records of words"


def test_a_date_is_a_text(folder, capsys):
    (folder / "1" / "config.yaml").write_text("seed: 2026-03-01\nname: x\n")
    main([str(folder), "--html", str(folder / "page.html")])
    assert "left out" not in capsys.readouterr().out and "2026-03-01" in (folder / "page.html").read_text()


VALUES = ["1e400", "nan", "-1", "", "x", '"', "\x1b[2J", "9" * 5000, "²", "null", "[]", "{}", "[[[[", "2026-03-01"]
VALUES += ["*a", "&a", "!!python/name:os.system", "\x00", "\ufeff", "${oc.env:HOME}", "1_0", "0x1f", "=", "<<"]
FILES = ["config.yaml", "summary.json", "results.csv", "validation.csv", "metrics.csv", "results.json", "records.csv"]


@pytest.mark.parametrize("first", range(0, 60, 20))
def test_any_value_anywhere(first, folder, capsys):
    """Pieces of a genuine folder's files replaced by what no reader expects, a seed for each."""
    run = folder / "1"
    (run / "metrics.csv").write_text("step,train/l1\n0,0.5\n1,0.4\n")
    (run / "results.json").write_text('{"measured": {"networks": {"features": "x"}, "folders": {"unet": "unet"}}}')
    (run / "records.csv").write_text("method,index,area,hole_psnr\nunet,0,0.1,20\nunet,1,0.2,21\n")
    genuine = {name: (run / name).read_text() for name in FILES}
    for seed in range(first, first + 20):
        generator = random.Random(seed)
        name = generator.choice(FILES)
        piece = generator.choice(re.findall(r"\w+", genuine[name]))
        (run / name).write_text(genuine[name].replace(piece, generator.choice(VALUES), generator.choice([1, -1])))
        try:
            main([str(folder), "--html", str(folder / "page.html")])
        except Exception as error:
            raise AssertionError(f"seed {seed}: {piece} of {name}") from error
        assert "\x1b[2J" not in capsys.readouterr().out
        (run / name).write_text(genuine[name])


def test_what_a_file_says_does_not_reach_the_terminal_as_commands(folder, capsys):
    """A title, the clipboard, the screen, and the direction of writing."""
    evil = "\x1b]0;title\x07\x1b]52;c;AAAA\x07\x1b[2J\u202eabc"
    (folder / "1" / "summary.json").write_text(json.dumps({"method": evil}))
    (folder / "2" / "config.yaml").write_text(json.dumps({"seed": 9, "generator": {"_target_": evil}}))
    main([str(folder), "--html", "none"])
    printed = capsys.readouterr().out
    assert not set("\x1b\x07\u202e") & set(printed) and "\\x1b]0;title" in printed


def test_a_table_of_commas(folder, monkeypatch):
    """256 MB of them would take ten times as much memory."""
    monkeypatch.setattr("inpaint.files.untrusted.FIELDS", 100)
    (folder / "1" / "metrics.csv").write_text("step,train/l1\n" + "0,1\n" * 50)
    (line,) = compare([folder]).left_out
    assert "metrics.csv: it has more than 100 fields" in line


def test_a_run_that_defines_a_thousand_figures(folder):
    figures = {f"figure{number}": {} for number in range(1000)}
    (folder / "1" / "results.json").write_text(json.dumps({"measured": {}, "definitions": figures}))
    (line,) = compare([folder]).left_out
    assert "results.json: it defines 1000 figures" in line


# ---- the reader itself ----------------------------------------------------------------------------------------------


def test_limits_are_looked_at_before_a_byte_is_read(tmp_path, monkeypatch):
    path = tmp_path / "x"
    sparse(TABLE + 1)(path)
    monkeypatch.setattr(os, "open", lambda *args, **settings: pytest.fail("it was opened"))
    for read in (read_bytes, read_text, read_yaml):
        with pytest.raises(Unreadable, match="bytes, more than"):
            read(path)
    assert YAML < TEXT < TABLE


def test_what_aliases_stand_for_is_counted_without_following_them(tmp_path):
    path = tmp_path / "x.yaml"
    for content in (ALIASES, MERGES):
        path.write_text(content)
        with pytest.raises(Unreadable, match="stand for more than"):
            read_yaml(path)
    path.write_text("usual: &usual {lr: 0.1, tags: [a, b]}\nfirst: *usual\nsecond: {<<: *usual, lr: 0.2}\n")
    usual = {"lr": 0.1, "tags": ["a", "b"]}
    assert read_yaml(path) == {"usual": usual, "first": usual, "second": usual | {"lr": 0.2}}


def test_plain_data_comes_back_as_it_was():
    content = {"a": [1, 2.5, None, True, "ü"], "b": {"c": {}}, "big": (1 << 64) - 1}
    assert parse_json(json.dumps(content)) == content
    for wrong in (1 << 64, -(1 << 64)):
        with pytest.raises(Unreadable, match="64 bits"):
            parse_json(json.dumps([wrong]))
