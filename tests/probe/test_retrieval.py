"""The sheet of what features take for alike."""

import numpy as np
import torch

from inpaint.pictures.sheet import LINE, MARGIN
from inpaint.probe.classifiers import Split
from inpaint.probe.retrieval import FRAME, SIDE, in_turn, retrieval_sheet

BLUE, ORANGE = (0, 102, 255), (255, 128, 0)


def test_classes_take_turns():
    assert in_turn([0, 0, 0, 1, 2, 2], 5) == [0, 3, 4, 1, 5]
    assert in_turn([1, 0], 9) == [1, 0]


def test_the_sheet_shows_the_query_and_its_neighbours():
    """Grey pictures whose one feature is their grey, or the opposite: the nearest are known."""
    greys = [10, 20, 30, 200, 210, 220]
    crops = torch.tensor(greys, dtype=torch.uint8).view(6, 1, 1, 1).expand(6, 3, 20, 20)
    labels = torch.tensor([0, 0, 1, 1, 1, 0])
    split = Split(torch.tensor([0, 2, 3, 5]), torch.tensor([1, 4]))
    angle = torch.tensor(greys, dtype=torch.float64) / 80
    circle = torch.stack([angle.cos(), angle.sin()], dim=1)
    features = {"ring": circle, "noise": circle.flip(0)}
    page = np.array(retrieval_sheet(crops, labels, ["dark", "light"], features, split, 2, 2))
    width = 3 * SIDE + 2 * MARGIN
    assert page.shape[:2] == (LINE + 2 * (LINE + SIDE), 2 * width - 2 * MARGIN)

    def shown(query, kind, place):
        """Grey in the middle of a picture, and the colour of its frame."""
        y, x = LINE + query * (LINE + SIDE) + LINE, kind * width + place * SIDE
        picture = page[y : y + SIDE, x : x + SIDE]
        inside = picture[FRAME:-FRAME, FRAME:-FRAME]
        assert (inside == inside[0, 0]).all()
        return int(inside[0, 0, 0]), tuple(map(int, picture[0, 0]))

    for query, row in ((0, 1), (1, 4)):
        for kind, rows in enumerate(features.values()):
            x, y = rows[split.train].numpy(), rows[row].numpy()
            mean, deviation = x.mean(0), x.std(0)
            known, unknown = (x - mean) / deviation, (y - mean) / deviation
            order = np.argsort(-(known @ unknown) / np.linalg.norm(known, axis=1))[:2]
            assert shown(query, kind, 0)[0] == greys[row]
            for place, found in enumerate(split.train[torch.from_numpy(order)].tolist(), start=1):
                colour = BLUE if labels[found] == labels[row] else ORANGE
                assert shown(query, kind, place) == (greys[found], colour)
