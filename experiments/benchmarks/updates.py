"""What does an update cost, beside a bare loop, LaMa's order of work, and what the networks alone take?

    python experiments/benchmarks/updates.py --seconds 60 --only "residual_unet 64 px"

In turns, an update each: through Lightning, as `inpaint-train` does it; by a bare loop in the same arithmetic, with
nothing watched; by the bare loop in float32; as LaMa's code orders its work, which paints once more for the
discriminator, in float32; and what the networks' own passes forward and backward take in our arithmetic, which is the
machine's limit. All have the same batches, made beforehand.
"""

import argparse
import json
import time
from contextlib import nullcontext
from functools import partial

import lightning as L
import torch
from measuring import now, ratio, run_of, settle, spread, table, times
from torch.utils.data import DataLoader

from inpaint.batch import paint
from inpaint.losses.adversarial import judge_for_r1, r1_penalty
from inpaint.schedules import weight_at
from inpaint.training.phases import frozen
from inpaint.training.trainer import REFERENCE, Arithmetic

LAMA = "+experiment=lama_fourier"
CASES = {
    "residual_unet 64 px": ["data=photos", "data.crop=64", "data.batch_size=16"],
    "lama_fourier 64 px": [LAMA, "data=photos", "data.crop=64", "data.batch_size=8"],
    "lama_fourier 128 px": [LAMA, "data=photos", "data.crop=128", "data.batch_size=8"],
}
ON_GPU = {
    f"{name} 256 px": [*recipe, "data=photos", "data.crop=256", "data.batch_size=16"]
    for name, recipe in (
        ("residual_unet", []),
        ("gated_conv", ["+experiment=deepfill_v2"]),
        ("lama_fourier", [LAMA]),
    )
}
TINY = {"tiny": ["generator.width=8", "generator.levels=1", "data=photos", "data.crop=32", "data.batch_size=2"]}
WARM = 2  # rounds that warm up, and are not counted
WAYS = {
    "ours": "ours",
    "bare": "bare loop, same arithmetic",
    "float32": "bare loop, float32",
    "lama": "LaMa's order, float32",
    "limit": "networks alone",
}


class Loop:
    """The networks of a run outside Lightning, in one kind of arithmetic."""

    def __init__(self, overrides, device, precision, memory_format, fused, compile):
        self.module = module = run_of(*overrides).module.to(device).train()
        Arithmetic(memory_format, fused, compile).setup(None, module, "fit")
        self.device, self.half = device, precision == "bf16-mixed"
        self.optimizers = {}
        for name in ("generator", "discriminator"):
            make = module.optimizer_factories[name]
            make = partial(make, fused=True) if fused else make
            self.optimizers[name] = make([p for p in getattr(module, name).parameters() if p.requires_grad])
        self.updates = 0

    def autocast(self):
        return torch.autocast(self.device.split(":")[0], torch.bfloat16) if self.half else nullcontext()

    def judged(self, image, fake, mask):
        """Verdicts on both, together where that makes no difference."""
        discriminator = self.module.discriminator
        if self.module.judged_apart:
            return discriminator(image, mask), discriminator(fake, mask)
        return discriminator(torch.cat([image, fake]), torch.cat([mask, mask])).halves()

    def step(self, name, terms):
        optimizer, clip = self.optimizers[name], self.module.clips[name]
        optimizer.zero_grad()
        sum(terms).backward()
        if clip is not None:
            torch.nn.utils.clip_grad_norm_(getattr(self.module, name).parameters(), clip)
        optimizer.step()

    def discriminator_phase(self, batch, outputs):
        module, image, mask = self.module, batch["image"], batch["mask"]
        fake = getattr(outputs, module.adversarial.of).detach().to(image.dtype)
        penalised = module.r1_gamma > 0 and self.updates % module.r1_every == 0
        if penalised:
            real, watched = judge_for_r1(module.discriminator.forward, image, mask)
        if penalised and not self.half:
            verdicts = real, module.discriminator(fake, mask)
        else:
            verdicts = self.judged(image, fake, mask)
        terms = [module.adversarial.discriminator(*verdicts, mask)]
        if penalised:
            terms.append(module.r1_gamma / 2 * module.r1_every * r1_penalty(real, watched, module.r1_of))
        self.step("discriminator", terms)

    def generator_phase(self, batch, outputs):
        module, image, mask = self.module, batch["image"], batch["mask"]
        with frozen(module.discriminator.parameters()):
            fake, real = getattr(outputs, module.adversarial.of).to(image.dtype), None
            if module.adversarial.needs_real or any("real" in term.needs for term in module.losses.values()):
                real, verdict = self.judged(image, fake, mask)
            else:
                verdict = module.discriminator(fake, mask)
            seen = type(outputs)(outputs.output, outputs.composite, outputs.coarse, real, verdict)
            terms = [weight_at(term.weight, self.updates) * term(seen, batch) for term in module.losses.values()]
            weight = weight_at(module.adversarial.weight, self.updates)
            self.step("generator", [*terms, weight * module.adversarial.generator(real, verdict, mask)])

    def bare(self, batch):
        """What one would write without a framework: one forward pass for both phases, and the moving average."""
        with self.autocast():
            outputs = paint(self.module.generator, batch)
            self.discriminator_phase(batch, outputs)
            self.generator_phase(batch, outputs)
            self.module.ema.update(self.module.generator, self.updates)
        self.updates += 1

    def lama(self, batch):
        """The order of LaMa's code: the generator's phase, then the discriminator's, each with a pass of its own."""
        with self.autocast():
            self.generator_phase(batch, paint(self.module.generator, batch))
            with frozen(self.module.generator.parameters()):
                self.discriminator_phase(batch, paint(self.module.generator, batch))
        self.updates += 1

    def limit(self, batch):
        """Each network forward and backward, as often as an update needs; no losses, no penalty, no optimizer."""
        module, image, mask = self.module, batch["image"], batch["mask"]
        for (
            parameter
        ) in module.parameters():  # now, as the others do: what is freed at the end, the next way would miss
            parameter.grad = None
        with self.autocast():
            outputs = paint(module.generator, batch)
            outputs.output.float().mean().backward()
            fake = getattr(outputs, module.adversarial.of).detach().to(image.dtype)
            verdicts = self.judged(image, fake, mask)
            sum(logits.float().mean() for verdict in verdicts for logits in verdict.logits).backward()
            with frozen(module.discriminator.parameters()):
                fake.requires_grad_(True)
                verdict = module.discriminator(fake, mask)
                sum(logits.float().mean() for logits in verdict.logits).backward()


class Turns(L.Callback):
    """After each update of a run, one of every other way; until the time is over."""

    def __init__(self, others, seconds, device, least):
        self.others, self.limit, self.device, self.least = others, seconds, device, least
        self.seconds = {name: [] for name in ("ours", *others)}

    def on_train_start(self, *_):
        """Start the clock."""
        self.begun, self.last = time.perf_counter(), now(self.device)

    def on_train_batch_end(self, trainer, module, outputs, batch, number):
        """From the end of one turn to here is an update with everything that Lightning does."""
        self.seconds["ours"].append(now(self.device) - self.last)
        for name, way in self.others.items():
            start = now(self.device)
            way(batch)
            self.seconds[name].append(now(self.device) - start)
        rounds = len(self.seconds["ours"])
        if rounds == WARM:
            self.begun = time.perf_counter()
        trainer.should_stop = rounds >= WARM + self.least and time.perf_counter() - self.begun > self.limit
        self.last = now(self.device)


def compared(overrides, seconds, device="cpu", least=3):
    """Seconds of an update, by way and round, and in which arithmetic ours were."""
    overrides = [*overrides, "data.on_small_image=skip", "data.workers=0", "trainer.max_steps=100000", "seed=0"]
    overrides.append(f"trainer.accelerator={'gpu' if device == 'cuda' else 'cpu'}")
    parts = run_of(*overrides, watched=True)
    chosen = next(callback for callback in parts.trainer.callbacks if isinstance(callback, Arithmetic))
    layouts = {torch.contiguous_format: "contiguous", torch.channels_last: "channels_last"}
    mode = {"precision": parts.trainer.precision, "memory_format": layouts[chosen.layout]}
    mode |= {"fused": chosen.fused, "compile": chosen.compile}
    exact = {name: REFERENCE[name] for name in mode}
    kinds = {"bare": (mode, Loop.bare), "float32": (exact, Loop.bare), "lama": (exact, Loop.lama)}
    kinds["limit"] = (mode, Loop.limit)
    others = {
        name: partial(work, Loop([*overrides, "trainer=reference"], device, **arithmetic))
        for name, (arithmetic, work) in kinds.items()
    }
    parts.data.setup("fit")
    raw = list(zip(range(8), parts.data.train_dataloader(), strict=False))
    made = [parts.data.to_batch(batch, device) for _, batch in raw]
    turns = Turns(others, seconds, device, least)
    parts.trainer.callbacks.append(turns)
    parts.trainer.fit(parts.module, DataLoader(made, batch_size=None))
    return {name: each[WARM:] for name, each in turns.seconds.items()}, mode


def measured(cases, seconds, device="cpu", said=print):
    """Rows of the table, a case after another."""
    rows = []
    for name, overrides in cases.items():
        said(name)
        found, mode = compared(overrides, seconds / len(cases), device)
        row = {"case": name, "arithmetic": mode, "seconds": {way: spread(each) for way, each in found.items()}}
        row["ratios"] = {
            "ours to bare": ratio(found["ours"], found["bare"]),
            "float32 to ours": ratio(found["float32"], found["ours"]),
            "lama to ours": ratio(found["lama"], found["ours"]),
            "ours to limit": ratio(found["ours"], found["limit"]),
        }
        rows.append(row)
    return rows


def shown(rows):
    """Two tables: times, and what was promised of their ratios."""
    milliseconds = [
        [
            row["case"],
            *(
                f"{1e3 * s['median']:.0f} ({1e3 * s['low']:.0f} to {1e3 * s['high']:.0f})"
                for s in (row["seconds"][way] for way in WAYS)
            ),
        ]
        for row in rows
    ]
    promised = ["at most 1.05x", "at least 1.5x", "at least 1.8x", ""]
    ratios = [[row["case"], *(times(figure) for figure in row["ratios"].values())] for row in rows]
    rounds = min(row["seconds"]["ours"]["count"] for row in rows)
    return "\n\n".join(
        [
            f"Milliseconds of an update, median and quartiles of {rounds} rounds or more:",
            table(["update", *WAYS.values()], milliseconds),
            "The same as ratios within a round:",
            table(
                ["update", "ours to the bare loop", "float32 to ours", "LaMa's order to ours", "ours to the limit"],
                [*ratios, ["promised", *promised]],
            ),
        ]
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=300, help="of all cases together, roughly")
    parser.add_argument("--only", nargs="+", choices=[*CASES, *ON_GPU, *TINY], help="some cases")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--processor", action="store_true", help="its time, where others use the machine: one thread")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    settle(arguments.threads, arguments.processor)
    every = CASES | ON_GPU | TINY
    cases = {name: every[name] for name in arguments.only or (CASES if arguments.device == "cpu" else ON_GPU)}
    rows = measured(cases, arguments.seconds, arguments.device)
    print(json.dumps(rows, indent=1) if arguments.json else f"\n{shown(rows)}")


if __name__ == "__main__":
    main()
