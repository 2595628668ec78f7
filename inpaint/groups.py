"""What a run is made of: one row for each key of its config, and which classes may stand there.

A config names a class with `_target_`. It may stand only at a key whose row lists it, whether the config was written
here or came in a checkpoint, and is known to be such a class before it is constructed. A further group is one row, a
folder of that name in ``conf/``, and the argument that takes it.
"""

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple


class Classes(NamedTuple):
    """Some classes that may stand at a key.

    what: one of them, in words.
    base: what each of them is derived from.
    modules: where they are defined: in these or below. Those of installed parts (`inpaint.parts`) may stand there too.
    functions: the functions of these modules may stand there as well.
    """

    what: str
    base: str
    modules: tuple[str, ...]
    functions: bool = False


class Group(NamedTuple):
    """A row.

    decides: what it says.
    holds: the classes that may stand there, if any.
    many: several of them by name, as in ``losses.l1``.
    inside: the classes that may stand deeper, in the arguments of the first.
    argument_of: the group whose class is given the object.
    made_later: the object is made by that class, so the config is a `_partial_`.
    from_checkpoint: an evaluation takes it from the checkpoint, unless the command line names it.
    files: settings whose texts name files or addresses, with the class where others mean something else by them; those
        of a checkpoint are opened only when that is asked for.
    made: those among them that name what is written; of a checkpoint they count only as a file that is there already.
    at_resume: whether a run may go on with another value: no; yes; or yes, and it is said.
    except_at_resume: the settings inside for which the opposite holds.
    of_training: the settings inside that change no validation crop.
    compared: how a comparison of runs shows it. choice: by its class or its parts first; setting: as it is; pairs: runs
        that differ in it alone are repetitions; never: it explains no result.
    """

    decides: str
    holds: Classes | None = None
    many: bool = False
    inside: tuple[Classes, ...] = ()
    argument_of: str = ""
    made_later: bool = False
    from_checkpoint: bool = False
    files: tuple[str, ...] = ()
    made: tuple[str, ...] = ()
    at_resume: Literal["no", "yes", "said"] = "no"
    except_at_resume: tuple[str, ...] = ()
    of_training: tuple[str, ...] = ()
    compared: Literal["choice", "setting", "pairs", "never"] = "setting"


UNTRAINED = ("inpaint.fills", "inpaint.restoration")  # classical methods
MASKS = Classes("a kind of mask", "inpaint.masks.Masks", ("inpaint.masks",))
FILES_OF_MASKS = ("root", "annotations")
DEGRADATION = Classes("a degradation", "inpaint.degradations.Degradation", ("inpaint.degradations",))
LAYER = Classes("a layer", "torch.nn.Module", ("torch.nn",))
RAMP = Classes("a ramp", "inpaint.schedules.Ramp", ("inpaint.schedules",))
OPTIMIZER = Classes("an optimizer", "torch.optim.Optimizer", ("torch.optim",))
SCHEDULE = Classes(
    what="a schedule",
    base="torch.optim.lr_scheduler.LRScheduler",
    modules=("inpaint.schedules", "torch.optim.lr_scheduler"),
    functions=True,
)


def _learning(decides: str, holds: Classes) -> Group:
    """A row of optimization; another optimizer has another state, so a run cannot go on with one."""
    settings: dict = {"at_resume": "said", "except_at_resume": ("_target_",)}
    return Group(decides, holds, argument_of="module", made_later=True, **settings)


GROUPS: dict[str, Group] = {
    "generator": Group(
        "the network that paints",
        Classes("a generator", "torch.nn.Module", ("inpaint.networks.generators", *UNTRAINED, "inpaint.builtin")),
        inside=(LAYER,),
        argument_of="module",
        files=("NearestNeighbour.collection", "NearestNeighbour.features"),
        compared="choice",
    ),
    "discriminator": Group(
        "the network that it plays against",
        Classes("a discriminator", "torch.nn.Module", ("inpaint.networks.discriminators",)),
        inside=(LAYER,),
        argument_of="module",
        compared="choice",
    ),
    "adversarial": Group(
        "the game that they play",
        Classes("an adversarial loss", "inpaint.losses.adversarial.Adversarial", ("inpaint.losses.adversarial",)),
        inside=(RAMP,),
        argument_of="module",
        at_resume="said",
        compared="choice",
    ),
    "losses": Group(
        "the terms of reconstruction",
        Classes("a loss", "inpaint.losses.term.Term", ("inpaint.losses",)),
        many=True,
        inside=(RAMP, LAYER),
        argument_of="module",
        files=("Perceptual.weights", "Style.weights", "Style.picture", "MRF.weights"),
        at_resume="said",
        compared="choice",
    ),
    "module": Group(
        "the procedure of an update",
        Classes("a procedure", "inpaint.training.gan.InpaintingGAN", ("inpaint.training",)),
        at_resume="said",
    ),
    "data": Group(
        "the photographs",
        Classes(
            "a source of data",
            "inpaint.data.datamodule.InpaintingData",
            ("inpaint.data.datamodule", "inpaint.data.synthetic", "inpaint.data.video"),
        ),
        inside=(
            Classes("an augmentation", "inpaint.data.augmentation.Augmentation", ("inpaint.data.augmentation",)),
            Classes("an augmentation", "torch.nn.Module", ("kornia.augmentation",)),
        ),
        from_checkpoint=True,
        files=(
            "root",
            "masks_root",
            "given_root",
            "embeddings",
            "path",
            "cache_dir",
            "counts",
            "FolderData.train",
            "FolderData.validation",
            "DeadLeavesData.train",
            "DeadLeavesData.validation",
            "FramesData.train",
            "FramesData.validation",
            "PanAndZoomData.train",
            "PanAndZoomData.validation",
            "ShardsData.train",
            "ShardsData.validation",
        ),
        made=("cache_dir", "counts"),
        except_at_resume=("workers", "cache"),
        of_training=(
            "augmentation",
            "ramp",
            "batch_size",
            "crops_per_image",
            "workers",
            "cache",
            "seed",
            "train",
            "streams",
            "block",
            "on_bad_image",
            "on_small_image",
            "max_bad_fraction",
            "pictures",
            "share",
        ),
        compared="choice",
    ),
    "masks": Group(
        "the holes",
        MASKS,
        inside=(MASKS,),
        argument_of="data",
        from_checkpoint=True,
        files=FILES_OF_MASKS,
        compared="choice",
    ),
    "degradation": Group(
        "what the generator is given in place of the truth",
        DEGRADATION,
        inside=(DEGRADATION, MASKS),
        argument_of="data",
        from_checkpoint=True,
        files=FILES_OF_MASKS,
        compared="choice",
    ),
    "validation_masks": Group(
        "the holes of validation", MASKS, inside=(MASKS,), argument_of="data", files=FILES_OF_MASKS
    ),
    "generator_optimizer": _learning("how the generator learns", OPTIMIZER),
    "discriminator_optimizer": _learning("how the discriminator learns", OPTIMIZER),
    "generator_scheduler": _learning("the generator's learning rate over the run", SCHEDULE),
    "discriminator_scheduler": _learning("the same of the discriminator", SCHEDULE),
    "trainer": Group(
        "how long, and on which devices",
        Classes("a trainer", "lightning.Trainer", ("inpaint.training.trainer", "lightning.pytorch.trainer")),
        inside=(
            Classes("a strategy", "lightning.pytorch.strategies.Strategy", ("lightning.pytorch.strategies",)),
            Classes("a profiler", "lightning.pytorch.profilers.Profiler", ("lightning.pytorch.profilers",)),
            Classes("a plugin", "object", ("lightning.pytorch.plugins",)),
        ),
        at_resume="said",
    ),
    "figures": Group(
        "figures of one's own in the table",
        Classes("a figure", "inpaint.metrics.figure.Figure", ("inpaint.metrics",)),
        many=True,
        inside=(Classes("a metric", "torchmetrics.Metric", ("torchmetrics",)), LAYER),
        at_resume="yes",
        compared="never",
    ),
    "callbacks": Group(
        "what is done besides: panels, checkpoints, warnings",
        Classes(
            "a callback",
            "lightning.pytorch.callbacks.Callback",
            ("inpaint.training", "inpaint.sweep.pruning", "lightning.pytorch.callbacks"),
        ),
        many=True,
        inside=(Classes("a pruner", "optuna.pruners.BasePruner", ("optuna.pruners",)),),
        argument_of="trainer",
        files=("folder", "dirpath"),
        at_resume="yes",
        compared="never",
    ),
    "logger": Group(
        "where figures are written",
        Classes("a logger", "lightning.pytorch.loggers.Logger", ("inpaint.training", "lightning.pytorch.loggers")),
        many=True,
        argument_of="trainer",
        files=("folder", "save_dir"),
        at_resume="yes",
        compared="never",
    ),
    "sweep": Group(
        "how a sweep searches and runs",
        inside=(
            Classes("a sampler", "optuna.samplers.BaseSampler", ("optuna.samplers",)),
            Classes("a pruner", "optuna.pruners.BasePruner", ("optuna.pruners",)),
        ),
        at_resume="yes",
        compared="never",
    ),
    "refine": Group(
        "what a prediction does to what was painted",
        Classes("a refinement", "inpaint.predict.refine.Refinement", ("inpaint.predict",)),
        files=("weights",),
        compared="never",
    ),
    "method": Group(
        "what style is to inpaint-stylise",
        Classes("a method of style", "inpaint.stylise.methods.Method", ("inpaint.stylise",)),
        files=("weights", "points", "landmarks"),
        compared="never",
    ),
    "hydra": Group("where a command runs", at_resume="yes", compared="never"),
    "paths": Group("the run folder", at_resume="yes", compared="never"),
    "name": Group("what tables call the run", at_resume="yes", compared="never"),
    "resume": Group("what it goes on from", at_resume="yes", compared="never"),
    "baselines": Group("the fills beside it in the table", at_resume="yes", compared="pairs"),
    "seed": Group("keys everything that is random", compared="pairs"),
    "init_from": Group("the networks that it begins with"),
    "init_discriminator": Group("the discriminator among them"),
    "backbone_weights": Group("the network of perceptual losses"),
    "lpips": Group("LPIPS in validation and the table"),
    "lpips_weights": Group("its network"),
}

WORDS = {"auto", "raise", "skip", "device", "ram", "none"}  # texts that the settings of every source of data have
# Settings anywhere that say where something is stored, which explains no result.
FOLDERS = {"default_root_dir", "save_dir", "log_dir", "dirpath"}

OPTIMIZATION = tuple(name for name, group in GROUPS.items() if group.made_later)  # how the networks learn
PARTS_OF_MODULE = tuple(name for name, group in GROUPS.items() if group.argument_of == "module")
FROM_CHECKPOINT = tuple(name for name, group in GROUPS.items() if group.from_checkpoint)
BY_CHOICE = tuple(name for name, group in GROUPS.items() if group.compared == "choice")
EXPLAINS_NOTHING = {name for name, group in GROUPS.items() if group.compared == "never"}
NO_CHOICE = {name for name, group in GROUPS.items() if group.compared in ("never", "pairs")}


def arguments_made_of_groups(name: str) -> set[str]:
    """The arguments of a group's class that are groups of their own."""
    return {other for other, group in GROUPS.items() if group.argument_of == name}


def may_change(key: str) -> bool:
    """Whether a run may go on with another value of a setting, by its dotted key."""
    name, _, setting = key.partition(".")
    group = GROUPS.get(name)
    return group is not None and (group.at_resume != "no") != (setting.partition(".")[0] in group.except_at_resume)


def is_said_at_resume(key: str) -> bool:
    """Whether such a change is worth a line."""
    group = GROUPS.get(key.partition(".")[0])
    return group is not None and group.at_resume == "said"


def classes_at(path: Sequence[str]) -> tuple[Classes, ...]:
    """Which classes may stand at a key, given as its parts: ``("losses", "l1")``."""
    group = GROUPS.get(path[0]) if path else None
    if group is None:
        return ()
    if len(path) == 1 + group.many:
        return (group.holds,) if group.holds is not None else ()
    return group.inside if len(path) > 1 + group.many else ()


def form(name: str, target: str = "PACKAGE.CLASS") -> str:
    """What the yaml of an option of a group looks like, in a line."""
    later = ", _partial_: true" if GROUPS[name].made_later else ""
    settings = f"_target_: {target}{later}, SETTING: VALUE"
    return f"NAME: {{{settings}}}" if GROUPS[name].many else f"{{{settings}}}"


def named_files(name: str, config: Any) -> dict[str, str]:
    """What a group of a recorded config would have opened: files and addresses by dotted key.

    Of our own classes that is what `Group.files` lists, and whatever looks like a path or an address; of a part's it is
    every text but `WORDS`.
    """
    found: dict[str, str] = {}

    def walk(node: Any, path: str, setting: str, target: str) -> None:
        if isinstance(node, dict):
            target = str(node.get("_target_", target))
            for key, value in node.items():
                if key != "_target_":
                    walk(value, f"{path}.{key}", str(key), target)
        elif isinstance(node, list):
            for place, value in enumerate(node):
                walk(value, f"{path}.{place}", setting, target)
        elif isinstance(node, str):
            listed = {setting, f"{target.rpartition('.')[2]}.{setting}"} & {*GROUPS[name].files}
            theirs = not target.startswith(("inpaint.", "torch.")) and node not in WORDS
            if listed or theirs or any(sign in node for sign in ("/", "\\", "::")):
                found[path] = node

    walk(config, name, "", "")
    return found
