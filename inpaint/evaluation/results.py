"""What an evaluation leaves behind: one folder of files that people, papers and other programs can read.

results.csv       averages by hole area and method with their 95 % intervals (`table.write_csv`)
results.json      the same, paired differences of all methods, definitions, and what was measured how
results.md        tables to read, results.tex  rows for a paper
records.csv       every figure of every picture: method, index, area, ...; inf for a perfect PSNR, empty for none
validation.csv    which pictures under which holes, with the sha256 of their pixels
pictures/         some pictures, spread evenly over hole area: input, truth, mask and each method's composite, as
                  input/00007.png; hole areas and folders of the methods are in results.json
"""

import hashlib
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image
from torch import nn

from inpaint.evaluation import table
from inpaint.evaluation.intervals import Results, aggregate
from inpaint.evaluation.measuring import Measured, Pictures, evaluate
from inpaint.evaluation.shown import GIVEN
from inpaint.files.folder import replacing_all, write_whole
from inpaint.files.writing import json_lines, write_table
from inpaint.provenance import versions

if TYPE_CHECKING:
    from inpaint.evaluation.judges import Judges

MANIFEST = "validation.csv"
FILES = ("results.csv", "results.json", "results.md", "results.tex", "records.csv", MANIFEST, "pictures")


def about_data(config: Mapping[str, Any]) -> dict[str, Any]:
    """Data, validation masks and, if there is one, degradation of a run's config, for results.json."""
    about = {"data": config["data"], "masks": config.get("validation_masks") or config["masks"]}
    degradation = config.get("degradation")
    return about | ({"degradation": degradation} if degradation else {})


@dataclass(frozen=True)
class Published:
    """An evaluation whose files are written.

    columns: figures that its first tables show.
    notes: what a reader of the tables has to know.
    """

    results: Results
    columns: list[str]
    notes: list[str]

    def print(self) -> None:
        """Print the table."""
        table.print_table(self.results, self.columns, self.notes)


def publish(
    folder: Path,
    methods: Mapping[str, nn.Module | None],
    pictures: Pictures,
    device: str,
    about: Mapping[str, Any],
    *,
    figures: Sequence[str] | None = None,
    judges: "Judges | None" = None,
    columns: Sequence[str] | None = None,
    shown: int = 12,
    samples: int = 2,
    notes: Sequence[str] = (),
) -> Published:
    """Measure all methods, and write everything into `folder`.

    Args:
        folder: made if it is not there.
        methods, pictures, device, figures, judges: as in `measuring.evaluate`.
        about: further entries of ``measured`` in results.json, such as the configs of data and masks.
        columns: figures that the first tables show; None: the usual ones, and those of the judges.
        shown: how many pictures are stored.
        samples: as in `measuring.evaluate`.
        notes: what a reader has to know beside what was noted while measuring.
    """
    measured = evaluate(methods, pictures, device, figures, judges, shown, samples)
    measured.notes[:0] = notes
    results = aggregate(measured.records, measured.sets)
    further = (*table.OF_NOISE, *table.OF_CLIPS)
    found = [name for name in further if any(name in row.means for row in results.rows)]
    usual = [*table.SHOWN, *found, *(judges.columns if judges else ())]
    names = usual if columns is None else list(columns)
    write(folder, results, measured, {**about, "networks": judges.networks if judges else {}}, names)
    return Published(results, names, measured.notes)


def write(
    folder: Path,
    results: Results,
    measured: Measured,
    about: Mapping[str, Any],
    columns: Sequence[str] = table.SHOWN,
) -> None:
    """Write all files into `folder`, in place of those of an evaluation before: all of them, or none.

    Args:
        folder: made if it is not there.
        results: averages, intervals and differences.
        measured: what they were made of.
        about: further entries of ``measured`` in results.json.
        columns: figures that the first tables show.
    """
    with replacing_all(folder, FILES) as place:
        table.write_csv(results.rows, place / "results.csv")
        write_whole(place / "results.md", table.markdown(results, columns, measured.notes))
        write_whole(place / "results.tex", table.latex(results, columns))
        _write_records(place / "records.csv", measured.records)
        write_table(place / MANIFEST, [*measured.crops[0]], measured.crops)
        folders = _write_pictures(place / "pictures", measured)
        said = {"pictures": len(measured.crops), "manifest_sha256": manifest_sha256(measured.crops)}
        said |= {"notes": measured.notes, **about}
        said |= {"shown": list(measured.given["truth"]), "folders": folders, "versions": versions()}
        content = table.as_json(results) | {"measured": said}
        write_whole(place / "results.json", json_lines(content))


def manifest_sha256(crops: Iterable[Mapping[str, Any]]) -> str:
    """Equal for equal pictures under equal holes, whatever they are called."""
    pixels = [f"{crop['index']} {crop['image_sha256']} {crop['mask_sha256']}\n" for crop in crops]
    return hashlib.sha256("".join(pixels).encode()).hexdigest()


def _write_records(path: Path, records: Sequence[Mapping[str, Any]]) -> None:
    names = list(dict.fromkeys(name for record in records for name in record))
    names = ["method", "index", "area", *(name for name in table.COLUMNS if name in names)]

    def written(value: Any) -> Any:
        if isinstance(value, float):  # float32 has no more than nine digits
            return "" if value != value else f"{value:.9g}"
        return value

    write_table(path, names, ({name: written(record.get(name, math.nan)) for name in names} for record in records))


def _write_pictures(folder: Path, measured: Measured) -> dict[str, str]:
    """Write the kept pictures; the folder of each method, whose name may be anything."""
    folders: dict[str, str] = {}
    for method in measured.composites:
        folders[method] = _folder_of(method, folders.values())
    pictures = measured.given | {folders[method]: kept for method, kept in measured.composites.items()}
    for name, kept in pictures.items():
        (folder / name).mkdir(parents=True, exist_ok=True)
        for index, picture in kept.items():
            pixels = picture.permute(1, 2, 0).contiguous().numpy()
            Image.fromarray(pixels[..., 0] if len(picture) == 1 else pixels).save(folder / name / f"{index:05d}.png")
    return folders


def _folder_of(method: str, taken: Iterable[str]) -> str:
    """A name for a folder on any system, different from those taken: of letters, digits and a few signs."""
    name = re.sub(r"[^\w.,=+()\[\] -]", "_", method).strip(". ")[:100] or "method"
    used = {other.lower() for other in (*taken, *GIVEN)}
    while name.lower() in used:
        name += "_"
    return name
