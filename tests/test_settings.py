import pytest

from inpaint.settings import choice, whole


def test_a_word_that_does_not_exist_is_answered_with_those_that_do():
    words = {"none": 0, "batch": 1}
    assert choice("generator.norm", "batch", words) == "batch"
    with pytest.raises(ValueError, match=r"^generator\.norm: give one of none, batch; got 'layer'$"):
        choice("generator.norm", "layer", words)
    with pytest.raises(ValueError, match="got None"):
        choice("generator.norm", None, words)
    with pytest.raises(ValueError, match=r"got 'bach'; did you mean batch\?$"):
        choice("generator.norm", "bach", words)


@pytest.mark.parametrize("value", [0, -3, 1.5, "one", None, True])
def test_numbers_are_whole(value):
    assert whole("data.crop", 1, 1) == 1
    with pytest.raises(ValueError, match=r"^data\.crop: .* is no whole number from 1 up$"):
        whole("data.crop", value, 1)
