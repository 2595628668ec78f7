"""The figures that need a network, LPIPS, recognition and those of sets of pictures, as one thing to ask for."""

import math
import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from inpaint.batch import Batch, finite, stored
from inpaint.evaluation.intervals import ALL, LEAST, SetFigure, blocks, drawn_units, photographs_of, times_drawn
from inpaint.files.folder import sha256
from inpaint.metrics.distribution import SET_FIGURES, caution, resampled
from inpaint.metrics.features import FeatureNetwork, feature_network
from inpaint.metrics.figure import Figure, one_a_picture
from inpaint.metrics.lpips import LPIPS, VARIANTS
from inpaint.metrics.recognition import Recogniser
from inpaint.networks.backbones import in_cache
from inpaint.progress import track
from inpaint.settings import Refused

Made = TypeVar("Made", bound=nn.Module)


class Judges:
    """Networks that look at repaired pictures, and what they have seen.

    Pictures are rounded to 8 bits as for every other figure. What the networks say of the truth is kept, so that it is
    computed once for all methods. Figures of sets are given for all pictures, and for those hole areas where there are
    pictures enough for the size of the features (`distribution.caution`).

    Args:
        lpips: variants of LPIPS.
        features: network of the figures of sets, see `features.feature_network`.
        recogniser: file of a classifier, see `recognition.Recogniser`.
        lpips_weights: file of the network of the one variant of LPIPS that is asked for, as `LPIPS` takes it.
        device: where they work.
        figures: figures of one's own, by the names of their columns.
        draws: resamples for the intervals of figures of sets, which are computed anew for each; 0 for none.

    Raises:
        Refused: weights that are nowhere to be found, with what to put where. ``auto`` in their place takes what is
            there, downloads nothing, and notes what is not there.
    """

    def __init__(
        self,
        lpips: Sequence[str] = (),
        features: str | None = None,
        recogniser: str | None = None,
        lpips_weights: str | None = None,
        device: str = "cpu",
        draws: int = 100,
        figures: Mapping[str, Figure] | None = None,
    ) -> None:
        self.figures = {name: figure.to(device).eval() for name, figure in (figures or {}).items()}
        self.device, self.draws = device, draws
        self.notes: list[str] = []
        self.networks: dict[str, str] = {}
        self.lpips: dict[str, LPIPS] = {}
        if lpips_weights is not None and len(lpips) > 1:
            raise Refused(f"lpips_weights: one file is of one network, but lpips asks for {', '.join(lpips)}")
        for variant in lpips:
            if variant not in (*VARIANTS, "auto"):
                raise Refused(f"lpips: give some of {', '.join(VARIANTS)}, or auto; got {variant}")
            name = "alex" if variant == "auto" else variant
            make = partial(_lpips, weights=lpips_weights)
            if (network := self._made("lpips", make, variant, variant)) is not None:
                self.lpips[f"lpips_{name}"] = network.to(device).eval()
                self.networks[f"lpips_{name}"] = f"{VARIANTS[name][0]}, linear heads of version 0.1"
        self.features: FeatureNetwork | None = None
        if features is not None:
            name = "inception" if features == "auto" else features
            self.features = self._made("features", feature_network, features, name)
        if self.features is not None:
            self.features = self.features.to(device).eval()
            self.networks["features"] = self.features.name
            said = f"FID, KID, P-IDS and U-IDS are of features of {self.features.name}; hole areas of {LEAST} pictures "
            said += f"have KID, those of more pictures than features ({self.features.size}) have all four"
            if draws:
                said += f"; their intervals are of {draws} draws, moved to the figure, with the same SVM for all"
            self.notes.append(said)
        self.recogniser = Recogniser(Path(recogniser)).to(device).eval() if recogniser is not None else None
        if recogniser is not None:
            self.networks["recogniser"] = f"{Path(recogniser).name} (sha256 {sha256(recogniser)[:8]})"
        self.real: dict[int, Tensor] = {}
        self.fake: dict[str, dict[int, Tensor]] = {}
        self.classes: dict[int, int] = {}

    def _made(self, setting: str, make: Callable[[str], Made], asked: str, name: str) -> Made | None:
        """The network, or None where ``auto`` finds no weights, which is noted."""
        try:
            return make(name)
        except Refused as error:
            if asked != "auto":
                raise
            self.notes.append(f"{setting}=auto: left out, {error}")
            return None

    def to(self, device: str) -> "Judges":
        """The same, at work on another device."""
        self.device = device
        for network in (*self.figures.values(), *self.lpips.values(), self.features, self.recogniser):
            if network is not None:
                network.to(device)
        return self

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the figures."""
        names = [*self.figures, *self.lpips]
        if self.recogniser is not None:
            names.append("recognised")
        if self.features is not None:
            names.extend(SET_FIGURES)
        return tuple(names)

    @torch.no_grad()
    def of_pictures(self, method: str, composite: Tensor, batch: Batch) -> dict[str, Tensor]:
        """Figures of each picture, ``(B,)``, and a look at its features for the figures of sets."""
        painted, truth = stored(composite), stored(batch["image"])
        index = batch["index"].tolist()
        found = {}
        for name, figure in self.figures.items():
            found[name] = one_a_picture(name, figure(painted, truth, batch["mask"]), len(index))
        for name, network in self.lpips.items():
            found[name] = network(painted, truth)
        if self.recogniser is not None:
            if index[0] not in self.classes:
                self.classes |= zip(index, self.recogniser(truth).tolist(), strict=True)
            same = self.recogniser(painted).cpu() == torch.tensor([self.classes[row] for row in index])
            found["recognised"] = torch.where(finite(painted).cpu(), 100 * same.float(), torch.nan)
        if self.features is not None:
            if index[0] not in self.real:
                self.real |= zip(index, self.features(truth).float().cpu(), strict=True)
            self.fake.setdefault(method, {}).update(zip(index, self.features(painted).float().cpu(), strict=True))
        return found

    def of_sets(self, records: Sequence[Mapping[str, Any]]) -> list[SetFigure]:
        """Figures of the pictures of each hole area; `records` as `intervals.aggregate` takes them."""
        if self.features is None:
            return []
        areas = {record["index"]: record["area"] for record in records}
        order, units = list(areas), drawn_units(photographs_of(records))
        unusable = [
            f"{method}: {bad} of {len(features)} pictures"
            for method, features in {"the originals": self.real, **self.fake}.items()
            if (bad := sum(not row.isfinite().all() for row in features.values()))
        ]
        if unusable:
            self.notes.append(f"features that are not finite, hence no figures of sets: {', '.join(unusable)}")
        wanted = []
        for area, places in blocks(list(areas.values())).items():
            for figure in SET_FIGURES:
                said = caution(figure, len(places), len(self.real[order[0]]))
                if area == ALL and said:
                    self.notes.append(said)
                if area == ALL or (not said and len(places) >= LEAST):
                    chosen = [order[place] for place in places]
                    wanted += [(area, chosen, units[places], figure, method) for method in self.fake]
        return [self._of_set(*asked) for asked in track(wanted, "figures of sets", "figures")]

    def _of_set(self, area: str, chosen: Sequence[int], units: np.ndarray, figure: str, method: str) -> SetFigure:
        """The figure and its bootstrap draws; row 0 of `counts` weighs each picture once, which gives the figure."""
        real = torch.stack([self.real[index] for index in chosen]).to(self.device)
        fake = torch.stack([self.fake[method][index] for index in chosen]).to(self.device)
        draws = self.draws if len(np.unique(units)) >= LEAST else 0
        counts = np.concatenate([np.ones((1, len(chosen))), times_drawn(np.arange(draws), units)])
        try:
            value, *drawn = resampled(figure, real, fake, torch.from_numpy(counts)).tolist()
        except torch.linalg.LinAlgError as error:  # the other figures, hours of work, are none the worse for it
            self.notes.append(f"{figure} of {method}, hole area {area}: not computed, {error}")
            return SetFigure(area, method, figure, math.nan, np.empty(0))
        return SetFigure(area, method, figure, value, np.array(drawn))


def _lpips(variant: str, weights: str | None) -> LPIPS:
    """The network; ``auto`` is alex, where its weights are there without a download."""
    if variant == "auto" and weights is None and not os.access(in_cache("alexnet"), os.R_OK):
        raise Refused(f"put torchvision's AlexNet at {in_cache('alexnet')}, or give lpips_weights=FILE")
    return LPIPS("alex" if variant == "auto" else variant, weights)
