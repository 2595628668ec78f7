import pytest

from inpaint.settings import choice


def test_a_word_that_does_not_exist_is_answered_with_those_that_do():
    words = {"none": 0, "batch": 1}
    assert choice("generator.norm", "batch", words) == "batch"
    with pytest.raises(ValueError, match=r"^generator\.norm: give one of none, batch; got 'layer'$"):
        choice("generator.norm", "layer", words)
    with pytest.raises(ValueError, match="got None"):
        choice("generator.norm", None, words)
