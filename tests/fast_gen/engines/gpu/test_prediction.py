"""The linear predictors of a GPU: known codes at once, and the same ones sample by sample without numba."""

import pytest
import torch
from random_nets import GAUSSIAN, PREDICTION, SHAPES, random_codes, random_net

from fast_gen.engines.gpu import prediction
from fast_gen.engines.gpu.prediction import DevicePredictor
from fast_gen.engines.weights import GeneratorWeights


def test_known_codes_are_taken_in_alike_without_numba(monkeypatch: pytest.MonkeyPatch) -> None:
    weights = GeneratorWeights.of(random_net(SHAPES["one layer"].model_copy(update=PREDICTION | GAUSSIAN)))
    codes = torch.from_numpy(random_codes(SHAPES["two cycles"].model_copy(update=GAUSSIAN), 3, 60))
    compiled, stepped = DevicePredictor(weights, 3, "cpu"), DevicePredictor(weights, 3, "cpu")
    found = [compiled.take_in(codes[:, part]) for part in (slice(0, 31), slice(31, 60))]

    def refuse(*arguments: object) -> None:
        raise ImportError

    monkeypatch.setattr(prediction, "predict_rows", refuse)
    expected = stepped.take_in(codes)
    for place in range(2):
        assert torch.equal(torch.cat([part[place] for part in found], dim=1), expected[place])
    torch.testing.assert_close(compiled.coefficients, stepped.coefficients)
    torch.testing.assert_close(compiled.predictions, stepped.predictions)
    known = compiled.frame + compiled.since
    assert torch.equal(compiled.past[:, :known], stepped.past[:, :known])
    assert compiled.since == stepped.since == int(compiled.since_on_device) == int(stepped.since_on_device) == 4
