"""Released weights become our networks: the same names and shapes as published, and the same pictures to the bit."""

import hashlib
from collections import OrderedDict
from types import SimpleNamespace

import hydra
import pytest
import torch

from inpaint.cli.command import call
from inpaint.config.sent import load_generator
from inpaint.exchange.import_ import main, run
from inpaint.exchange.released import recognise
from inpaint.files import checkpoint
from inpaint.files.foreign import Weight
from inpaint.networks.generators.aot import AOT
from inpaint.networks.generators.edge_connect import EdgeConnect
from inpaint.networks.generators.fourier import LaMa
from inpaint.networks.generators.global_local import CompletionNetwork
from inpaint.networks.generators.partial_conv import PartialConvUNet
from inpaint.networks.generators.pix2pixhd import Pix2PixHDGlobal
from inpaint.settings import Refused
from inpaint.training.resume import begin_with
from tests.exchange import releases
from tests.files.test_foreign import write

IMAGE = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(1)) * 2 - 1
MASK = torch.zeros(1, 1, 64, 64)
MASK[..., 20:40, 10:50] = 1


def filled(network):
    """The network with other values in every tensor, in evaluation mode."""
    generator = torch.Generator().manual_seed(2)
    for name, value in network.state_dict().items():
        if value.is_floating_point():
            fresh = torch.randn(value.shape, generator=generator) / max(value[:1].numel(), 4) ** 0.5
            value.copy_(fresh.abs() + 0.5 if name.endswith("var") else fresh)
    return network.eval()


def published(names, network, prefix=""):
    """The tensors of a network as others call them; spectral norm's are in another order here."""
    state = network.state_dict()
    assert len(names) == len(state)
    return OrderedDict((prefix + name, value) for name, value in zip(names, state.values(), strict=True))


def imported(folder, **files):
    """The run that the command makes of files, and what it says."""
    folder.mkdir(exist_ok=True)
    paths = []
    for name, (weights, how) in files.items():
        paths.append(str(write(folder / name, weights, how)))
    listed = ",".join(f"'{path}'" for path in paths)
    return call("import", run, [f"weights=[{listed}]", f"output='{folder / 'run'}'"])


def painted(run):
    generator = load_generator(checkpoint.load(run)).eval()
    with torch.no_grad():
        return generator(IMAGE, MASK).output


@pytest.mark.parametrize(
    ("how", "prefix"),
    [
        ("torch", "generator."),
        ("torchscript", "model.generator."),
        ("safetensors", "generator."),
        ("before 2020", "module.generator."),
    ],
)
def test_lama_in_every_format(tmp_path, capsys, how, prefix):
    network = filled(LaMa(blocks=2, width=4))
    weights = published(releases.lama(2), network, prefix)
    with torch.no_grad():
        expected = network(IMAGE, MASK).output
    made = imported(tmp_path, lama=(weights | {"loss.weight": torch.ones(3)}, how))
    said = capsys.readouterr().out
    assert torch.equal(painted(made), expected)
    module = SimpleNamespace(
        generator=LaMa(blocks=2, width=4), discriminator=None, ema=SimpleNamespace(network=LaMa(2, 4))
    )
    begin_with(checkpoint.load(made), str(made), module, True)
    with torch.no_grad():
        assert torch.equal(module.generator.eval()(IMAGE, MASK).output, expected), "init_from"
    assert "LaMa-Fourier (blocks 2, width 4, ratio 0.75)" in said and f"all {len(weights)} tensors fit" in said
    assert "left behind: 1 tensors" in said and "loss.weight" in said and "discriminator: none" in said


NETWORKS = {
    "lama_regular": (lambda: Pix2PixHDGlobal(blocks=2, width=4), lambda: releases.lama_regular(2)),
    "aot": (lambda: AOT(blocks=2, width=4), lambda: releases.aot(2)),
    "aot_mmagic": (lambda: AOT(blocks=2, width=4), lambda: releases.aot_mmagic(2)),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_a_release_paints_what_it_painted(tmp_path, name):
    make, names = NETWORKS[name]
    network = filled(make())
    with torch.no_grad():
        expected = network(IMAGE, MASK).output
    assert torch.equal(painted(imported(tmp_path, weights=(published(names(), network), "torch"))), expected)


def test_edge_connect_is_two_files(tmp_path):
    network = filled(EdgeConnect(blocks=1, width=4))
    parts = {"painter": network.painter[0], "edges": network.edges.network}
    files = {
        name: (published(releases.edge_connect(1, name == "edges"), part, "generator."), "before 2020")
        for name, part in parts.items()
    }
    files["painter"][0]["generator.encoder.1.bias"] = torch.ones(4)  # instance norm takes it away again
    with torch.no_grad():
        expected = network(IMAGE, MASK).output
    assert torch.equal(painted(imported(tmp_path, **files)), expected)
    with pytest.raises(Refused, match=r"a part of EdgeConnect.*weight_orig.*other file"):
        imported(tmp_path / "alone", painter=files["painter"])


def test_partial_convolutions_of_mmagic_see_bgr(tmp_path):
    """Its network has no biases before a norm."""
    network = filled(PartialConvUNet(levels=4, width=4))
    state = network.state_dict()
    biases = [
        name
        for name in state
        if name.endswith("conv.bias") and name not in ("encoder.0.conv.bias", "decoder.3.conv.bias")
    ]
    for name in biases:
        state[name].zero_()
    theirs = OrderedDict(
        zip(releases.partial_conv(4), (value for name, value in state.items() if name not in biases), strict=True)
    )
    theirs |= {
        name.replace("weight", "weight_mask_updater"): value
        for name, value in theirs.items()
        if name.endswith("conv.weight")
    }
    made = imported(tmp_path, weights=(theirs, "torch"))
    with torch.no_grad():
        expected = network(IMAGE.flip(1), MASK).output.flip(1)  # what it paints of BGR, as RGB
    assert torch.allclose(painted(made), expected, atol=1e-5)
    assert (painted(made) - network(IMAGE, MASK).output).abs().max() > 1e-2


def without_biases(network):
    """The names of tensors that MMagic's Global & Local has too; the biases before a norm are 0 afterwards."""
    state, kept = network.state_dict(), []
    for name, value in state.items():
        norm = f"layers.{int(name.split('.')[1]) + 1}.running_var" if name.startswith("layers.") else name
        if name == "hole_colour" or (name.endswith(".bias") and norm in state):
            value.zero_()
        else:
            kept.append(name)
    return kept


def test_global_and_local_of_mmagic_sees_bgr_and_cuts_off(tmp_path):
    network = filled(CompletionNetwork(width=4, hole="grey", output="clip"))
    names, state = without_biases(network), network.state_dict()
    theirs = OrderedDict(zip(releases.global_local(), (state[name] for name in names), strict=True))
    made = imported(tmp_path, weights=(OrderedDict((f"generator.{n}", v) for n, v in theirs.items()), "torch"))
    with torch.no_grad():
        expected = network(IMAGE.flip(1), MASK).output.flip(1)
    assert torch.allclose(painted(made), expected, atol=1e-5)
    assert (painted(made) - network(IMAGE, MASK).output).abs().max() > 1e-2
    assert 0 < (painted(made).abs() < 1).float().mean() < 1, "both sides of what is cut off"


# ---- at the published sizes, by names and shapes ---------------------------------------------------------------------


def outlines(names, network):
    state = network.state_dict().values()
    return {name: Weight(tuple(value.shape), value.clone) for name, value in zip(names, state, strict=True)}


def lines(weights):
    texts = [f"{name} {'x'.join(map(str, weight.shape)) or ' int64'}" for name, weight in weights.items()]
    return hashlib.sha256("\n".join(sorted(texts)).encode()).hexdigest()[:16]


# A digest is that of the sorted lines "name shape" of the released file.
PUBLISHED = [
    ("LaMa-Fourier", lambda: LaMa(), lambda: releases.lama(9), "a786d635e3dee6c4"),
    ("Big-LaMa", lambda: LaMa(blocks=18), lambda: releases.lama(18), None),
    ("LaMa-Regular", lambda: Pix2PixHDGlobal(), lambda: releases.lama_regular(9), "41b1e36f017dfbb1"),
    ("AOT-GAN", lambda: AOT(), lambda: releases.aot(8), "82bb28f885df37cf"),
]


def test_global_and_local_has_the_published_names_and_shapes():
    network = CompletionNetwork(hole="grey", output="clip")
    state = network.state_dict()
    kept = zip(releases.global_local(), without_biases(network), strict=True)
    weights = {theirs: Weight(tuple(state[ours].shape), state[ours].clone) for theirs, ours in kept}
    assert lines(weights) == "9b58b468e1d93d34"
    match = recognise(weights)
    assert match.release.title == "MMagic's Global & Local" and match.settings["width"] == 64
    assert list(match.generator(network)) == list(state)


@pytest.mark.parametrize(("title", "make", "names", "digest"), PUBLISHED)
def test_names_and_shapes_are_the_published_ones(title, make, names, digest):
    with torch.device("meta"):
        network = make()
    weights = outlines(names(), network)
    assert digest is None or lines(weights) == digest
    match = recognise(weights)
    assert match.release.title == title
    assert list(match.generator(network)) == list(network.state_dict())


JUDGES = [
    ("lama_fourier", releases.lama_judge, LaMa, lambda: releases.lama(9), "ce1081939265d764"),
    ("aot_gan", releases.aot_judge, AOT, lambda: releases.aot(8), "c76e3ec230d371c7"),
]


@pytest.mark.parametrize(("recipe", "judge", "generator", "names", "digest"), JUDGES)
def test_the_discriminator_of_a_recipe_is_the_released_one(recipe, judge, generator, names, digest):
    from tests.options import compose

    with torch.device("meta"):
        network, painter = hydra.utils.instantiate(compose(f"+experiment={recipe}").discriminator), generator()
    state = dict(network.state_dict())
    ours = [name for name in state if not name.startswith("last.")] + ["last.weight", "last.bias"]
    weights = {name: Weight(tuple(state[o].shape), state[o].clone) for name, o in zip(judge(), ours, strict=True)}
    assert lines(weights) == digest
    match = recognise(outlines(names(), painter) | weights)
    assert match.release.recipe == recipe and list(match.discriminator(network)) == list(state)


# ---- what is not taken -----------------------------------------------------------------------------------------------


def test_files_that_do_not_fit_are_refused_in_a_line(tmp_path):
    weights = published(releases.lama(1), LaMa(blocks=1, width=4))
    wrong = weights | {"model.2.bn_l.weight": torch.ones(3)}
    del wrong["model.3.bn_l.bias"]
    with pytest.raises(Refused, match=r"look like LaMa-Fourier, but 2 tensors.*model.2.bn_l.weight is \(3,\)"):
        imported(tmp_path, weights=(wrong, "torch"))
    flat = weights | {"model.1.ffc.convl2l.weight": torch.tensor(1.0)}
    with pytest.raises(Refused, match=r"look like LaMa-Fourier, but (its layers|\d+ tensors)"):
        imported(tmp_path, weights=(flat, "torch"))
    with pytest.raises(Refused, match="no release that is known has these 1 tensors"):
        imported(tmp_path, weights=({"mine": torch.ones(3)}, "torch"))
    with pytest.raises(Refused, match="backbone_weights=FILE"):
        imported(tmp_path, weights=({"features.0.weight": torch.ones(64, 3, 3, 3)}, "torch"))
    with pytest.raises(Refused, match="five channels"):
        imported(tmp_path, weights=({"generator.stage2.encoder_conv.enc1.conv.conv.weight": torch.ones(1)}, "torch"))
    with pytest.raises(Refused, match=r"weights: .*none\.pt does not exist"):
        call("import", run, [f"weights='{tmp_path / 'none.pt'}'", f"output='{tmp_path / 'run'}'"])
    assert not (tmp_path / "run").exists()
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "mine").touch()
    with pytest.raises(Refused, match="is there already"):
        imported(tmp_path, weights=(weights, "torch"))


def test_words_without_a_sign_are_files(tmp_path, monkeypatch, capsys):
    files = [tmp_path / "a, b.pt", tmp_path / "c=d.txt"]
    files[0].write_bytes(b"no weights")
    monkeypatch.setattr("sys.argv", ["inpaint-import", str(files[0]), f"output={tmp_path / 'run'}"])
    with pytest.raises(SystemExit) as left:
        main()
    assert left.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"inpaint-import: weights: {files[0]}: neither a file of torch nor safetensors")
