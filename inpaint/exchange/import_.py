"""Make a run of weights that others have released, to predict with, to measure, and to fine-tune.

    inpaint-import big-lama.pt output=runs/big-lama
    inpaint-import G0000000.pt D0000000.pt output=runs/aot-gan
    inpaint-predict checkpoint=runs/big-lama images=DIR holes=DIR output=DIR
    inpaint-train +experiment=big_lama init_from=runs/big-lama data=folder data.root=DIR

What is released is recognised by the names and shapes of its tensors (`inpaint.exchange.released`), in files of torch,
in TorchScript and in safetensors. Of a file tensors are read and nothing else; nothing in it is executed. The run has
the settings of the recipe that trains such a network here, a checkpoint of update 0, and a README.md that says what it
is, from which file it came, and under which licence.
"""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hydra
import yaml
from omegaconf import DictConfig

from inpaint.cli import typed
from inpaint.cli.command import command
from inpaint.cli.explain import hydra_of
from inpaint.config import check, plain
from inpaint.files.folder import replacing_all, sha256
from inpaint.files.untrusted import Unreadable
from inpaint.settings import ConfigError, Refused, listed

if TYPE_CHECKING:
    from torch import Tensor

    from inpaint.exchange.release import Match
    from inpaint.files.foreign import Weight

NAMES = ("config.yaml", "checkpoints", "README.md")  # what a run has at first


def run(cfg: DictConfig) -> Path:
    """Read, recognise, fit, write, and say what was done.

    Returns:
        The run folder.

    Raises:
        Refused: a file that is no file of weights, or none of a release that is known; a folder that is not empty.
    """
    import torch

    from inpaint.exchange.released import recognise
    from inpaint.files import checkpoint

    check(cfg)
    output = Path(cfg.output)
    if output.is_file() or (output.is_dir() and any(output.iterdir())):
        raise ConfigError(f"output: {output} is there already; give a new folder")
    files = [Path(file) for file in ([cfg.weights] if isinstance(cfg.weights, str) else cfg.weights)]
    match = recognise(_read(files))
    config, own = _config(match, cfg.name or output.name)
    with torch.device("meta"):
        generator = hydra.utils.instantiate(config["generator"], _convert_="all")
        judge = hydra.utils.instantiate(config["discriminator"], _convert_="all") if config["discriminator"] else None
    state = {f"{checkpoint.AVERAGE}{name}": value for name, value in match.generator(generator).items()}
    state |= {f"discriminator.{name}": value for name, value in match.discriminator(judge).items()}
    lines = _report(match, state)
    training = typed.line(
        "inpaint-train",
        *(f"+experiment={match.release.recipe}", *own, typed.setting("init_from", output)),
        *("data=folder", "data.root=DIR"),
    )
    _write(output, config, state, _card(config["name"], files, lines, training))
    print("\n".join([*lines, f"the run is in {output}", "next:"]))
    model = typed.setting("checkpoint", output)
    print(" ", typed.line("inpaint-predict", model, "images=DIR", "holes=DIR", "output=DIR"))
    print(" ", training)
    return output


def _read(files: list[Path]) -> "dict[str, Weight]":
    """All tensors of some files by their names; of several files, below the place of each."""
    from inpaint.files.foreign import read_weights

    found: dict[str, Weight] = {}
    for number, file in enumerate(files, start=1):
        try:
            weights = read_weights(file)
        except Unreadable as error:
            raise Refused(f"weights: {file}: {error}") from None
        except FileNotFoundError:
            raise Refused(f"weights: {file} does not exist") from None
        found |= weights if len(files) == 1 else {f"{number}.{name}": weight for name, weight in weights.items()}
    return found


def _config(match: "Match", name: str) -> tuple[dict[str, Any], list[str]]:
    """The settings of a run that trains such a network, and what of them is not the recipe's, as overrides."""
    with hydra_of("train"):
        recipe = f"+experiment={match.release.recipe}"
        cfg = hydra.compose("train", [recipe, typed.setting("name", name), "paths.run=."])
    own = {key: value for key, value in match.settings.items() if cfg.generator[key] != value}
    cfg.generator.update(own)
    return plain(cfg), [f"generator.{key}={value}" for key, value in own.items()]


def _report(match: "Match", state: "dict[str, Tensor]") -> list[str]:
    """What was recognised, what fitted, and what did not."""
    from inpaint.files import checkpoint

    numbers = ", ".join(f"{key} {value}" for key, value in match.settings.items())
    places = listed([prefix.rstrip(".") or "the top" for prefix in match.prefixes])
    painter = sum(name.startswith(checkpoint.AVERAGE) for name in state)
    judge = len(state) - painter
    lines = [f"{match.release.title} ({numbers}), found below {places}", f"generator: all {painter} tensors fit"]
    lines.append(
        f"discriminator: all {judge} tensors fit" if judge else "discriminator: none; training begins a new one"
    )
    if left := [name for name in match.weights if name not in match.taken]:
        lines.append(f"left behind: {len(left)} tensors ({listed(left)})")
    return [*lines, f"licence: {match.release.licence}"]


def _write(output: Path, config: dict[str, Any], state: "dict[str, Tensor]", card: str) -> None:
    """A run folder, whole or not at all."""
    from inpaint.files import checkpoint

    with replacing_all(output, NAMES) as folder:
        content: dict[str, Any] = {"state_dict": state}
        checkpoint.stamp(content, config, update=0)
        size = sum(value.numel() * value.element_size() for value in state.values())
        checkpoint.prepare(folder / "checkpoints", size)
        checkpoint.write(content, folder / "checkpoints" / "update_00000000.ckpt")
        (folder / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")
        (folder / "README.md").write_text(card, encoding="utf-8")


def _card(name: str, files: list[Path], lines: list[str], training: str) -> str:
    """What the weights are, from which files, under which licence, and how to go on."""
    table = "\n".join(f"| {file.name} | `{sha256(file)}` |" for file in files)
    facts = "\n".join(f"- {line}" for line in lines)
    return (
        f"# {name}\n\nReleased weights, taken over by `inpaint-import`; nothing was trained here.\n\n{facts}\n\n"
        f"| file | sha256 |\n|---|---|\n{table}\n\nFine-tuning:\n\n```\n{training}\n```\n"
    )


def with_files(words: list[str]) -> list[str]:
    """The words of a command line in Hydra's grammar, in which those without ``=`` are the files."""
    files = [word for word in words if "=" not in word and not word.startswith("-")]
    if not files or words[0] == "help":
        return words
    return [*(word for word in words if word not in files), typed.several("weights", files)]


def main() -> None:
    """`inpaint-import`."""
    sys.argv[1:] = with_files(sys.argv[1:])
    command("import", run)


if __name__ == "__main__":
    main()
