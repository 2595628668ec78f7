"""Classical sharpening by scikit-image, where the blur is known: it is what divides a method from a blind one."""

from abc import abstractmethod

import numpy as np
import torch
from torch import Tensor, nn

from inpaint.batch import Outputs, compose
from inpaint.degradations.filters import gaussian, line, odd_side
from inpaint.restoration.enlarging import enlarged
from inpaint.settings import Refused, number, whole


class _Deconvolution(nn.Module):
    """What undoes a blur that is the same for all pictures: a Gaussian or a straight motion.

    Args:
        sigma: standard deviation of the Gaussian in pixels; None where it is motion.
        length: of the way in pixels; None where it is a Gaussian.
        angle: of the way in degrees clockwise from rightwards.

    Raises:
        Refused: both or neither, or a number out of its range.
    """

    def __init__(self, sigma: float | None = 1.6, length: float | None = None, angle: float = 0.0) -> None:
        super().__init__()
        if (sigma is None) == (length is None):
            raise Refused("generator.sigma, generator.length: give one of them, a Gaussian or a motion, and null")
        if sigma is not None:
            ends = torch.tensor([number("generator.sigma", sigma, 0.05, 20, "pixels")], device="cpu")
            kernel = gaussian(ends, ends, torch.zeros_like(ends), odd_side(3 * sigma))
        else:
            assert length is not None
            ends = torch.tensor([number("generator.length", length, 0, 100, "pixels")], device="cpu")
            turn = torch.tensor([number("generator.angle", angle, 0, 180, "degrees") / 360], device="cpu")
            kernel = line(ends, turn, odd_side(length / 2 + 1))
        self.kernel = kernel[0].numpy()

    @abstractmethod
    def sharpen(self, channel: np.ndarray) -> np.ndarray:
        """One channel of a picture, float ``(H, W)`` in [0, 1] or beyond, sharp."""

    def forward(self, image: Tensor, mask: Tensor) -> Outputs:
        """Undo the blur; shapes and ranges as in `inpaint.restoration`."""
        image = enlarged(image, mask)
        light = ((image.float() + 1) / 2).flatten(0, 1).cpu().double().numpy()
        painted = np.stack([self._framed(channel) for channel in light]) * 2 - 1
        return compose(torch.from_numpy(painted).view(image.shape).to(image), image, mask)

    def _framed(self, channel: np.ndarray) -> np.ndarray:
        """Mirrored beyond its edges, which do not meet each other then as they do in a Fourier transform."""
        frame = 2 * len(self.kernel)
        sharp = self.sharpen(np.pad(channel, frame, mode="symmetric"))
        return sharp[frame : frame + channel.shape[0], frame : frame + channel.shape[1]]


class Wiener(_Deconvolution):
    """The linear filter that undoes a blur as far as noise allows (Wiener 1949; Hunt 1973).

    Args:
        balance: how smooth the picture is, from 0 up: more where there is more noise.
        sigma, length, angle: as of `_Deconvolution`.
    """

    def __init__(
        self, balance: float = 0.02, sigma: float | None = 1.6, length: float | None = None, angle: float = 0.0
    ) -> None:
        super().__init__(sigma, length, angle)
        self.balance = number("generator.balance", balance, 0, 1e6, "a weight")

    def sharpen(self, channel: np.ndarray) -> np.ndarray:
        """By one division in the frequencies."""
        from skimage.restoration import wiener

        return wiener(channel, self.kernel, self.balance, clip=False)


class RichardsonLucy(_Deconvolution):
    """The picture of which the blurred one is most likely, if its noise is that of counted light (1972, 1974).

    Every step sharpens, and noise with it.

    Args:
        steps: of the iteration.
        sigma, length, angle: as of `_Deconvolution`.
    """

    def __init__(
        self, steps: int = 10, sigma: float | None = 1.6, length: float | None = None, angle: float = 0.0
    ) -> None:
        super().__init__(sigma, length, angle)
        self.steps = whole("generator.steps", steps, 1)

    def sharpen(self, channel: np.ndarray) -> np.ndarray:
        """Step by step, from grey on."""
        from skimage.restoration import richardson_lucy

        return richardson_lucy(channel.clip(min=0), self.kernel, self.steps, clip=False, filter_epsilon=1e-6)
