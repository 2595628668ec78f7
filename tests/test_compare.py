"""The leaderboard of made-up run folders."""

import copy
import csv
import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from inpaint.compare import differences, main, shortest
from inpaint.table import Row, write_csv

CONFIG: dict[str, Any] = {
    "seed": 1,
    "name": "base",
    "paths": {"run": "/somewhere/0"},
    "generator": {"_target_": "inpaint.networks.generators.residual_unet.ResidualUNet", "width": 32},
    "discriminator": {"_target_": "inpaint.networks.discriminators.PatchDiscriminator", "width": 64},
    "losses": {"l1": {"_target_": "inpaint.losses.reconstruction.L1", "weight": 1.0}},
    "data": {"_target_": "inpaint.data.datamodule.FolderData", "root": "/photographs/places/train"},
    "optimizer": {"_target_": "torch.optim.Adam", "_partial_": True, "lr": 1e-4},
}
STYLE = {"_target_": "inpaint.losses.perceptual.Style", "weight": 250.0}


def changed(**changes: Any) -> dict[str, Any]:
    """`CONFIG` with other values at dotted keys, written with two underscores for the dot."""
    config = copy.deepcopy(CONFIG)
    for dotted, value in changes.items():
        *parents, last = dotted.split("__")
        node = config
        for parent in parents:
            node = node[parent]
        node[last] = value
    return config


def make_run(folder: Path, psnr: float, config: dict[str, Any] = CONFIG, *, ssim: float = 0.8, images: int = 9) -> Path:
    """A finished run, with the folder that Hydra leaves in it."""
    (folder / ".hydra").mkdir(parents=True)
    (folder / ".hydra" / "config.yaml").write_text("seed: 1\n")
    (folder / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    means = {"hole_l1": 5.0, "hole_psnr": psnr, "psnr": psnr + 10, "ssim": ssim, "ms": 4.0}
    rows = [Row(area, "unet", images, 0, means) for area in ("0-10 %", "all")]
    rows += [Row("all", "telea", images, 0, dict.fromkeys(means, 99.0))]
    write_csv(rows, folder / "results.csv")
    summary = {"method": "unet", "parameters": 7_040_000, "updates": 12_000, "train_seconds": 60.5, "overrides": []}
    (folder / "summary.json").write_text(json.dumps(summary))
    return folder


def ranking(text: str) -> list[str]:
    """Names of runs in the order they are printed."""
    return [line.split()[1] for line in text.splitlines() if line.strip()[:1].isdigit()]


def test_best_first_and_everything_is_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, psnr in (("poor", 19.0), ("good", 24.125), ("fair", 21.0)):
        make_run(tmp_path / "runs" / name, psnr)
    main([str(tmp_path)])
    text = capsys.readouterr().out
    assert ranking(text) == ["good", "fair", "poor"]
    for shown in ("24.12", "34.12", "0.8000", "5.00", "4.0", "7.04", "12,000", "hole PSNR", "params"):
        assert shown in text
    assert "99.0" not in text  # the classical method's
    assert "differs in" not in text


def test_sort(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_run(tmp_path / "a", 20.0, ssim=0.9)
    make_run(tmp_path / "b", math.nan, ssim=0.8)
    make_run(tmp_path / "c", 24.0, ssim=0.7)
    for column, order in (("ssim", ["a", "b", "c"]), ("hole_psnr", ["c", "a", "b"])):
        main([str(tmp_path), "--sort", column])
        assert ranking(capsys.readouterr().out) == order
    with pytest.raises(SystemExit) as stop:
        main([str(tmp_path), "--sort", "beauty"])
    assert stop.value.code == 2
    assert "beauty" in capsys.readouterr().err


def test_differences_are_shown_and_bookkeeping_is_not(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_run(tmp_path / "0", 20.0)
    make_run(tmp_path / "1", 21.0, changed(losses__l1__weight=6.0, name="other", paths__run="/somewhere/1"))
    main([str(tmp_path / "0"), str(tmp_path / "1")])
    text = capsys.readouterr().out
    assert "losses.l1.weight=1.0" in text
    assert "losses.l1.weight=6.0" in text
    for unsaid in ("somewhere", "other", "_target_", "seed", "width"):
        assert unsaid not in text


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"seed": 2}, [{"seed": "1"}, {"seed": "2"}]),
        ({"discriminator": None}, [{"discriminator": "Patch"}, {"discriminator": "none"}]),
        ({"discriminator": {}}, [{"discriminator": "Patch"}, {"discriminator": "none"}]),
        ({"generator__width": 64}, [{"generator.width": "32"}, {"generator.width": "64"}]),
        (
            {"generator": {"_target_": "inpaint.x.ContextEncoder", "width": 5}},
            [{"generator": "ResidualUNet"}, {"generator": "ContextEncoder"}],
        ),
        ({"losses__style": STYLE}, [{"losses": "l1"}, {"losses": "l1 + style"}]),
        ({"losses": {"style": STYLE}}, [{"losses": "l1"}, {"losses": "style"}]),
        ({"losses": {}}, [{"losses": "l1"}, {"losses": "none"}]),
        ({"optimizer__lr": 2e-4}, [{"optimizer.lr": "0.0001"}, {"optimizer.lr": "0.0002"}]),
        ({"optimizer__betas": [0.0, 0.9]}, [{}, {"optimizer.betas": "[0.0, 0.9]"}]),
        ({"data__root": "/photographs/faces/train"}, [{"data.root": "places/train"}, {"data.root": "faces/train"}]),
        ({"name": "other", "paths__run": "/b"}, [{}, {}]),
    ],
)
def test_differences_of_two_configs(change: dict[str, Any], expected: list[dict[str, str]]) -> None:
    assert differences([CONFIG, changed(**change)]) == expected


def test_a_key_is_compared_among_runs_of_the_same_class_only() -> None:
    other = changed(generator={"_target_": "inpaint.x.ContextEncoder", "width": 5})
    found = differences([CONFIG, changed(generator__width=64), other])
    assert found == [
        {"generator": "ResidualUNet", "generator.width": "32"},
        {"generator": "ResidualUNet", "generator.width": "64"},
        {"generator": "ContextEncoder"},
    ]


def test_a_list_of_parts_is_compared_part_by_part() -> None:
    def kinds(*weights: int) -> dict[str, Any]:
        parts = [{"_target_": "inpaint.masks.Boxes", "weight": weight} for weight in weights]
        return changed(masks={"_target_": "inpaint.masks.Mixture", "kinds": parts})

    assert differences([kinds(1, 2), kinds(1, 3)]) == [{"masks.kinds.1.weight": "2"}, {"masks.kinds.1.weight": "3"}]
    assert differences([kinds(1), kinds(1, 3)]) == [{}, {"masks.kinds.1": "Boxes"}]


def test_where_much_differs_the_usual_is_said_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    changes = [{}, {"seed": 2}, {"generator__width": 64}, {"discriminator": None}, {"losses__l1__weight": 6.0}]
    for name, change in enumerate(changes):
        make_run(tmp_path / str(name), 20.0 + name, changed(**change))
    main([str(tmp_path)])
    text = capsys.readouterr().out
    for usual in ("seed=1", "generator.width=32", "discriminator=Patch", "losses.l1.weight=1.0"):
        assert text.count(usual) == 1
    assert text.index("discriminator=none") < text.index("otherwise") < text.index("discriminator=Patch")


def test_unfinished_runs_are_named_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_run(tmp_path / "done", 20.0)
    for name in ("stopped", "waiting"):
        for folder in (tmp_path / name, tmp_path / name / "record"):  # one folder is one run, whatever it holds
            folder.mkdir()
            (folder / "config.yaml").write_text("seed: 1\n")
    main([str(tmp_path)])
    text = capsys.readouterr().out
    assert ranking(text) == ["done"]
    (line,) = [line for line in text.splitlines() if "unfinished" in line]
    assert line.endswith(f"{tmp_path / 'stopped'}, {tmp_path / 'waiting'}")


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("summary.json", "{"),
        ("summary.json", "[]"),
        ("summary.json", '{"method": "unet"}'),
        ("summary.json", None),
        ("config.yaml", "a: [\n"),
        ("config.yaml", "just words"),
        ("results.csv", ""),
        ("results.csv", "area,method,images,perfect,psnr\nall,unet,4\n"),
        ("results.csv", "area,method,images,perfect,psnr\nall,somebody,4,0,20\n"),
        ("results.csv", "area,method\nall,unet\n"),
        ("results.csv", b"\xff\xfe\x00"),
    ],
)
def test_a_broken_run_is_named_and_left_out(
    file: str, content: str | bytes | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_run(tmp_path / "good", 20.0)
    broken = make_run(tmp_path / "broken", 25.0) / file
    if content is None:
        broken.unlink()
    else:
        broken.write_bytes(content if isinstance(content, bytes) else content.encode())
    main([str(tmp_path)])
    text = capsys.readouterr().out
    assert ranking(text) == ["good"]
    (line,) = [line for line in text.splitlines() if line.startswith("left out")]
    assert f"{tmp_path / 'broken'}: {file}: " in line

    with pytest.raises(SystemExit) as stop:
        main([str(tmp_path / "broken")])
    assert stop.value.code == 2
    assert file in capsys.readouterr().err


def test_no_run_is_one_line_and_exit_code_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "stopped").mkdir()
    (tmp_path / "stopped" / "config.yaml").write_text("seed: 1\n")
    with pytest.raises(SystemExit) as stop:
        main([str(tmp_path), str(tmp_path / "nowhere")])
    assert stop.value.code == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert len(err.splitlines()) == 1
    for said in ("no finished run", "nowhere: no such folder", "stopped"):
        assert said in err


def test_a_run_given_twice_counts_once_and_files_are_passed_over(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    make_run(tmp_path / "0", 20.0)
    make_run(tmp_path / "1", 21.0)
    (tmp_path / "multirun.yaml").write_text("")
    monkeypatch.chdir(tmp_path / "1")
    main([".", *(str(path) for path in sorted(tmp_path.iterdir())), str(tmp_path)])  # as a shell expands *
    text = capsys.readouterr().out
    assert ranking(text) == ["1", "0"]
    assert "left out" not in text


def test_different_numbers_of_pictures_are_pointed_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_run(tmp_path / "0", 20.0, images=9)
    make_run(tmp_path / "1", 21.0, images=100)
    main([str(tmp_path)])
    assert "different numbers of pictures, 9 to 100" in capsys.readouterr().out


def test_csv(tmp_path: Path) -> None:
    make_run(tmp_path / "runs" / "a", 20.0)
    make_run(tmp_path / "runs" / "b", 100 / 3, changed(discriminator=None))
    main([str(tmp_path), "--csv", str(tmp_path / "leaderboard.csv")])
    with (tmp_path / "leaderboard.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert [(line["rank"], line["run"], line["discriminator"]) for line in lines] == [
        ("1", "b", "none"),
        ("2", "a", "Patch"),
    ]
    assert float(lines[0]["hole_psnr"]) == 100 / 3
    assert lines[0]["parameters"] == "7040000"
    assert lines[0]["folder"] == str(tmp_path / "runs" / "b")


def test_a_perfect_average_prints_as_a_dash(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_run(tmp_path / "0", math.nan)
    main([str(tmp_path)])
    text = capsys.readouterr().out
    assert " - " in text
    assert "nan" not in text


def test_shortest_names() -> None:
    assert shortest(["/runs/a/0", "/runs/a/1"]) == ["0", "1"]
    assert shortest(["/runs/a/0", "/runs/b/0", "/runs/b/1"]) == ["a/0", "b/0", "b/1"]
    assert shortest(["/runs/a"]) == ["a"]
    assert shortest([]) == []


def test_torch_is_not_imported() -> None:
    code = "import sys, inpaint.compare; sys.exit(bool({'torch', 'lightning', 'hydra'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False, cwd=Path(__file__).parents[1]).returncode == 0
