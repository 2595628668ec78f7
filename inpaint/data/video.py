"""Clips to train on: of videos, and of windows that move over photographs."""

from collections.abc import Sequence
from typing import Any

from inpaint.data.automatic import AUTO
from inpaint.data.clips import MovingWindows, Videos
from inpaint.data.datamodule import InpaintingData
from inpaint.data.sources import Folder, Photos, Source
from inpaint.masks import Masks
from inpaint.settings import Refused, number


class FramesData(InpaintingData):
    """`InpaintingData` of the videos below a folder: folders of frames, and files, which PyAV reads.

    Args:
        masks: as there; each clip has one, which stands still or moves.
        root, train, validation, frames, resize: as in `clips.Videos`.
        mask_speed: pixels that the holes of a clip move from frame to frame at most, as in `clips.unfolded`.
        settings: as in `InpaintingData`.
    """

    def __init__(
        self,
        masks: Masks | None,
        root: str,
        train: str | None = None,
        validation: float | str = 0.1,
        frames: int = 7,
        mask_speed: float = 0.0,
        resize: int | None = None,
        **settings: Any,
    ) -> None:
        super().__init__(Videos(root, train, validation, frames, resize), masks, **settings)
        self.mask_speed = number("data.mask_speed", mask_speed, 0, self.crop, "pixels a frame")


class PanAndZoomData(InpaintingData):
    """`InpaintingData` of windows that pan and zoom over photographs: clips without a video, whose flow is known.

    Args:
        masks: as there; each clip has one, which stands still or moves.
        root: a folder of photographs; None takes the bundled ones.
        train, validation, resize: of the folder, as in `sources.Folder`; None is all, a tenth, and as they are.
        frames, side, clips, speed, zoom, zoom_speed: as in `clips.MovingWindows`; without a side, it is the crop's.
        mask_speed: pixels that the holes of a clip move from frame to frame at most, as in `clips.unfolded`.
        seed: keys the clips that train, too.
        settings: as in `InpaintingData`.

    Raises:
        Refused: settings of a folder without one, and what is refused there.
    """

    def __init__(
        self,
        masks: Masks | None,
        root: str | None = None,
        train: str | None = None,
        validation: float | str | None = None,
        resize: int | None = None,
        frames: int = 7,
        side: int | None = None,
        clips: int = 16,
        speed: float = 2.0,
        zoom: Sequence[float] = (1.0, 2.0),
        zoom_speed: float = 0.01,
        mask_speed: float = 0.0,
        seed: int = 0,
        **settings: Any,
    ) -> None:
        photographs: Source
        if root is not None:
            photographs = Folder(root, train, 0.1 if validation is None else validation, resize=resize)
        else:
            given = {"train": train, "validation": validation, "resize": resize}
            if named := [name for name, value in given.items() if value is not None]:
                raise Refused(f"data.{named[0]}: is of a folder of photographs; give data.root=PHOTOS too")
            photographs = Photos()
        ends: Any = tuple(zoom) if isinstance(zoom, Sequence) else zoom
        if side is None:
            side = settings.get("crop", 64)
            if side == AUTO:
                raise Refused("data.side: follows data.crop, which is auto; give the one or the other in pixels")
        source = MovingWindows(photographs, frames, side, clips, speed, ends, zoom_speed, seed)
        super().__init__(source, masks, seed=seed, **settings)
        self.mask_speed = number("data.mask_speed", mask_speed, 0, self.crop, "pixels a frame")
