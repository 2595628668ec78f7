"""How others call the tensors of networks that are here too, in the order in which both have them."""

NORM = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")


def tensors(layer, *names):
    return [f"{layer}.{name}" for name in names]


def conv(layer):
    return tensors(layer, "weight", "bias")


def decoder(first):
    """Three enlargements, then the picture."""
    found = []
    for level in range(3):
        found += conv(f"model.{first + 3 * level}") + tensors(f"model.{first + 3 * level + 1}", *NORM)
    return found + conv(f"model.{first + 10}")


def ffc(layer, paths, norms):
    found = []
    for path in paths:
        if path != "convg2g":
            found.append(f"{layer}.ffc.{path}.weight")
            continue
        spectral = f"{layer}.ffc.convg2g"
        found += [f"{spectral}.conv1.0.weight", *tensors(f"{spectral}.conv1.1", *NORM)]
        found += [f"{spectral}.fu.conv_layer.weight", *tensors(f"{spectral}.fu.bn", *NORM)]
        found += [f"{spectral}.conv2.weight"]
    return found + [name for norm in norms for name in tensors(f"{layer}.{norm}", *NORM)]


def lama(blocks):
    found = []
    for place in (1, 2, 3):
        found += ffc(f"model.{place}", ["convl2l"], ["bn_l"])
    found += ffc("model.4", ["convl2l", "convl2g"], ["bn_l", "bn_g"])
    for block in range(blocks):
        for half in ("conv1", "conv2"):
            paths = ["convl2l", "convl2g", "convg2l", "convg2g"]
            found += ffc(f"model.{5 + block}.{half}", paths, ["bn_l", "bn_g"])
    return found + decoder(6 + blocks)


def lama_regular(blocks):
    found = []
    for level in range(4):
        found += conv(f"model.{3 * level + 1}") + tensors(f"model.{3 * level + 2}", *NORM)
    for block in range(blocks):
        for place in (1, 5):
            layer = f"model.{13 + block}.conv_block"
            found += conv(f"{layer}.{place}") + tensors(f"{layer}.{place + 1}", *NORM)
    return found + decoder(13 + blocks)


def lama_judge():
    found = conv("model0.0")
    for place in (1, 2, 3, 4):
        found += conv(f"model{place}.0") + tensors(f"model{place}.1", *NORM)
    return found + conv("model5.0")


def aot(blocks):
    found = [name for place in (1, 3, 5) for name in conv(f"encoder.{place}")]
    for block in range(blocks):
        layers = [*(f"block0{branch}.1" for branch in range(4)), "fuse.1", "gate.1"]
        found += [name for layer in layers for name in conv(f"middle.{block}.{layer}")]
    return found + conv("decoder.0.conv") + conv("decoder.2.conv") + conv("decoder.4")


def aot_mmagic(blocks):
    found = [name for place in (1, 2, 3) for name in conv(f"encoder.encoder.{place}.conv")]
    for block in range(blocks):
        layers = [*(f"blocks.{branch}.1.conv" for branch in range(4)), "fuse.1.conv", "gate.1.conv"]
        found += [name for layer in layers for name in conv(f"dilation_neck.model.{block}.{layer}")]
    return found + [name for place in range(3) for name in conv(f"decoder.decoder.{place}.conv")]


def spectral(layer):
    return tensors(layer, "weight_orig", "weight_u", "weight_v")


def aot_judge():
    return [name for place in (0, 2, 4, 6) for name in spectral(f"conv.{place}")] + conv("conv.8")


def edge_connect(blocks, is_edges):
    """Without the biases of layers that instance norm follows; spectral norm where it draws edges."""

    def layer(name):
        return spectral(name) if is_edges else [f"{name}.weight"]

    found = [name for place in (1, 4, 7) for name in layer(f"encoder.{place}")]
    found += [n for block in range(blocks) for place in (1, 5) for n in layer(f"middle.{block}.conv_block.{place}")]
    return found + layer("decoder.0") + layer("decoder.3") + conv("decoder.7")


def partial_conv(levels):
    """The decoder from its lowest level up; convolutions but the first and the last have no bias."""
    found = conv("encoder.enc1.conv")
    for level in range(2, levels + 1):
        found += [f"encoder.enc{level}.conv.weight", *tensors(f"encoder.enc{level}.bn", *NORM)]
    for level in range(levels, 1, -1):
        found += [f"decoder.dec{level}.conv.weight", *tensors(f"decoder.dec{level}.bn", *NORM)]
    return found + conv("decoder.dec1.conv")


def global_local():
    """Convolutions have no bias but the last; normalised all but that."""
    layers = [f"encoder.enc{place}" for place in range(1, 7)]
    layers += [f"dilation_neck.dilation_convs.{place}" for place in range(4)]
    layers += [f"decoder.dec{place}" for place in range(1, 7)]
    found = [name for layer in layers for name in [f"{layer}.conv.weight", *tensors(f"{layer}.bn", *NORM)]]
    return found + conv("decoder.dec7.conv")
