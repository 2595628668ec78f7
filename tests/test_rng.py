import os
import subprocess
import sys

import torch

from inpaint import rng


def test_key_is_the_same_in_another_process_and_tells_types_and_places_apart():
    code = "from inpaint import rng; print(rng.key(7, 'mask', 3))"
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(other.stdout) == rng.key(7, "mask", 3)
    assert len({rng.key(1, 23), rng.key(12, 3), rng.key("1", 23), rng.key(1, 2, 3), rng.key(123)}) == 5


def test_names_that_are_no_utf_8_have_keys_of_their_own():
    names = [os.fsdecode(name) for name in (b"caf\xe9.png", b"caf\xe8.png")] + ["café.png"]
    assert len({rng.key(0, "holes", name) for name in names}) == 3


def test_uniform_is_a_pure_function_of_each_key():
    keys = torch.tensor([rng.key("sample", index) for index in range(64)])
    numbers = rng.uniform(keys, 9)
    order = torch.randperm(64)
    assert torch.equal(rng.uniform(keys[order], 9), numbers[order])
    assert torch.equal(rng.uniform(keys[5:6], 4), numbers[5:6, :4])


def test_splitmix64_against_its_reference_values():
    # First outputs of SplitMix64 seeded with 1234567 (Vigna's splitmix64.c); `uniform` keeps their top 24 bits.
    reference = [6457827717110365317, 3203168211198807973, 9817491932198370423]
    numbers = rng.uniform(torch.tensor([1234567]), 3)[0].double()
    assert (numbers * 2**24).long().tolist() == [value >> 40 for value in reference]


def test_uniform_is_uniform_and_independent():
    keys = torch.tensor([rng.key(index) for index in range(20_000)])
    numbers = rng.uniform(keys, 6).double()
    assert numbers.min() >= 0 and numbers.max() < 1
    counts = torch.stack([torch.histc(column, 20, 0, 1) for column in numbers.T])
    chi_square = ((counts - 1000) ** 2 / 1000).sum(1)
    assert chi_square.max() < 50  # 19 degrees of freedom: 50 has a chance of 1e-4
    correlations = torch.corrcoef(numbers.T) - torch.eye(6)
    assert correlations.abs().max() < 0.04
    other = rng.uniform(rng.fold(keys, "other"), 1).double()
    assert torch.corrcoef(torch.cat([numbers[:, :1], other], dim=1).T)[0, 1].abs() < 0.03


def test_normal_is_normal():
    numbers = rng.normal(torch.tensor([rng.key(index) for index in range(20_000)]), 5)
    assert numbers.shape == (20_000, 5) and numbers.dtype == torch.float32 and numbers.isfinite().all()
    moments = [numbers.double().pow(power).mean().item() for power in (1, 2, 3, 4)]
    assert all(abs(moment - expected) < 0.05 for moment, expected in zip(moments, (0, 1, 0, 3), strict=True)), moments
    assert torch.equal(rng.normal(torch.tensor([rng.key(3)]), 2), numbers[3:4, :2])


def test_numbers_of_samples_go_with_them():
    keys, x = torch.tensor([5, -3, 8]), torch.zeros(3, 1)

    def drawn(keys, x):
        with rng.of_samples(keys):
            return rng.normal_for(x, 2, 3), rng.uniform_for(x, 4), rng.normal_for(x, 2, 3)

    whole, again = drawn(keys, x), drawn(keys, x)
    assert all(map(torch.equal, whole, again))
    assert [tuple(values.shape) for values in whole] == [(3, 2, 3), (3, 4), (3, 2, 3)]
    assert not torch.equal(whole[0], whole[2]) and not torch.equal(whole[0][0], whole[0][1])
    for order in ([2, 0], [1]):
        part = drawn(keys[order], x[order])
        assert all(torch.equal(values, of_all[order]) for values, of_all in zip(part, whole, strict=True))


def test_without_samples_the_global_generator_draws():
    for draw, theirs in ((rng.normal_for, torch.randn), (rng.uniform_for, torch.rand)):
        rng.seed_all(3)
        found = draw(torch.zeros(2, 5), 4)
        rng.seed_all(3)
        assert torch.equal(found, theirs(2, 4))


def test_permutation():
    assert sorted(rng.permutation(5, 100)) == list(range(100))
    assert rng.permutation(5, 100) == rng.permutation(5, 100) != rng.permutation(6, 100)


def test_seed_all_takes_negative_keys():
    rng.seed_all(-5)
    first = torch.rand(3)
    rng.seed_all(-5)
    assert torch.equal(first, torch.rand(3))
