"""`inpaint-train` with a fault in one rank, by the variable FAULT: ``rank update what``.

A script of its own, since Lightning starts the other ranks by running it again.
"""

import os
import time

import inpaint.train
from inpaint.training import launching
from inpaint.training.gan import InpaintingGAN

RANK, UPDATE, WHAT = os.environ["FAULT"].split()
real_step = InpaintingGAN.training_step


def step(self, batch, batch_idx):
    if self.updates == int(UPDATE):
        if self.global_rank == int(RANK):
            if WHAT == "exit":
                os._exit(7)
            raise RuntimeError("injected fault")
        if WHAT == "deaf":  # as a rank that waits in a collective which nobody ends
            time.sleep(600)
    return real_step(self, batch, batch_idx)


if __name__ == "__main__":
    InpaintingGAN.training_step = step
    launching.GRACE = 2
    inpaint.train.main()
