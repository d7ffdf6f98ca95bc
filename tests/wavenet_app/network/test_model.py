"""WaveNet: the fast path equals the plain blocks, in values and gradients, and nothing leaks from the future."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from small_net import net

from wavenet_app.coding import STEP
from wavenet_app.config import MelConfig, ModelConfig, PredictionConfig, preset
from wavenet_app.heads import CategoricalHead, GaussianHead, mean_bits
from wavenet_app.network import model as network
from wavenet_app.network.conditioning import Condition
from wavenet_app.network.model import CodeFront, SampleFront, WaveNet, product_dtype
from wavenet_app.network.stack.layout import needed_starts

configs = st.builds(
    ModelConfig,
    residual_channels=st.integers(1, 6),
    dilation_channels=st.integers(1, 6),
    skip_channels=st.integers(1, 6),
    kernel_size=st.sampled_from([2, 3]),
    dilations=st.lists(st.integers(1, 9), min_size=1, max_size=5).map(tuple),
    quantization_channels=st.sampled_from([4, 16]),
    prediction=st.sampled_from([None, PredictionConfig(order=2, window=9, hop=4, innovation=True)]),
)


@given(configs, st.integers(1, 60), st.data())
@settings(deadline=None, max_examples=60)
def test_fast_path_equals_the_plain_blocks(config, time, data):
    start = data.draw(st.integers(0, time - 1))
    model = net(config).double()
    model.product_dtype = torch.float64
    codes = torch.randint(config.quantization_channels, (2, time), generator=torch.Generator().manual_seed(time))
    weight = torch.randn(2, time - start, config.quantization_channels, dtype=torch.float64)
    reference = model.forward_by_blocks(codes)[:, start:]
    fast = model(codes, start)
    torch.testing.assert_close(fast, reference)
    parameters = list(model.parameters())
    expected = torch.autograd.grad((reference * weight).sum(), parameters, allow_unused=True)
    found = torch.autograd.grad((fast * weight).sum(), parameters, allow_unused=True)
    for one, other in zip(expected, found, strict=True):
        assert (one is None) == (other is None)
        if one is not None:
            torch.testing.assert_close(one, other)


def test_float32_agrees_within_its_rounding():
    model = WaveNet(preset("small").model, torch.Generator().manual_seed(1))
    torch.nn.init.normal_(model.output2.weight, std=0.2)
    codes = torch.randint(256, (2, 3000))
    with torch.no_grad():
        torch.testing.assert_close(model(codes), model.forward_by_blocks(codes), atol=1e-4, rtol=1e-4)


def test_bfloat16_stays_near_float32():
    model = WaveNet(preset("tiny").model, torch.Generator().manual_seed(1))
    torch.nn.init.normal_(model.output2.weight, std=0.2)
    codes = torch.randint(256, (1, 2000))
    with torch.no_grad():
        exact = model(codes)
        model.product_dtype = torch.bfloat16
        rough = model(codes).float()
    assert (rough - exact).abs().max() < 0.05 * exact.abs().max()


@given(configs, st.integers(1, 39))
@settings(deadline=None, max_examples=25)
def test_logits_never_depend_on_later_codes(config, cut):
    model = net(config)
    codes = torch.randint(config.quantization_channels, (1, 40), generator=torch.Generator().manual_seed(cut))
    changed = codes.clone()
    changed[:, cut:] = (changed[:, cut:] + 1) % config.quantization_channels
    with torch.no_grad():
        torch.testing.assert_close(model(codes)[:, :cut], model(changed)[:, :cut])


@pytest.mark.parametrize("innovation", [False, True])
def test_linear_prediction_is_read_and_can_be_given(innovation):
    config = ModelConfig(dilations=(1, 2), prediction=PredictionConfig(order=2, window=9, hop=4, innovation=innovation))
    model, plain = net(config), net(config.model_copy(update={"prediction": None}))
    codes = torch.randint(256, (2, 50), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        rows = model.predicted_rows(codes)
        assert rows is not None
        assert rows.values.shape == rows.sizes.shape == rows.innovations.shape == codes.shape
        assert torch.equal(model(codes, rows=rows), model(codes))
        other = rows._replace(values=(rows.values + 9) % 256)
        assert not torch.allclose(model(codes, rows=other), model(codes))
        other = rows._replace(innovations=(rows.innovations + 9) % 64)
        assert torch.allclose(model(codes, rows=other), model(codes)) == (not innovation)
        assert plain.predicted_rows(codes) is None
        for table in model.prediction.parameters():
            table.zero_()
        own = {name: value for name, value in model.state_dict().items() if not name.startswith("prediction.")}
        plain.load_state_dict(own)
        assert torch.equal(model(codes), plain(codes)), "tables of zeros are no prediction"


@pytest.mark.parametrize("kernel_size", [2, 3])
@pytest.mark.parametrize("dilations", [(1,), (1, 2, 4, 8), (3, 1, 7)])
def test_receptive_field_is_what_context_is_needed(kernel_size, dilations):
    config = ModelConfig(
        residual_channels=8, dilation_channels=8, skip_channels=16, kernel_size=kernel_size, dilations=dilations
    )
    model = net(config).double()
    model.product_dtype = torch.float64
    field = config.receptive_field
    codes = torch.randint(config.quantization_channels, (1, field + 30), generator=torch.Generator().manual_seed(field))
    with torch.no_grad():
        whole = model(codes)[:, -1]
        torch.testing.assert_close(model(codes[:, -field:])[:, -1], whole)
        first_seen = codes.clone()
        first_seen[:, -field] = (first_seen[:, -field] + 1) % config.quantization_channels
        assert not torch.equal(model(first_seen)[:, -1], whole)


def test_front_is_a_convolution_over_one_hot_codes():
    front = CodeFront(8, 5, 3)
    torch.nn.init.normal_(front.tables)
    torch.nn.init.normal_(front.bias)
    codes = torch.randint(8, (2, 12))
    one_hot = torch.nn.functional.one_hot(codes, 8).float().transpose(1, 2)
    weight = front.tables.permute(2, 1, 0)
    expected = torch.nn.functional.conv1d(torch.nn.functional.pad(one_hot, (2, 0)), weight, front.bias)
    torch.testing.assert_close(front(codes), expected.transpose(1, 2))


@given(st.sampled_from([2, 3]), st.lists(st.integers(1, 9), min_size=1, max_size=6), st.integers(0, 50))
def test_needed_starts_rise_by_what_each_layer_sees(kernel_size, dilations, start):
    starts = needed_starts(kernel_size, dilations, start)
    assert starts[-1] == start
    for first, wanted, dilation in zip(starts[:-1], starts[1:], dilations, strict=True):
        assert first == max(0, wanted - (kernel_size - 1) * dilation)


def test_same_generator_gives_the_same_net_and_nothing_global_is_drawn():
    state = torch.get_rng_state()
    one, other = (WaveNet(preset("tiny").model, torch.Generator().manual_seed(3)) for _ in range(2))
    torch.set_rng_state(state)
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))


def test_untrained_net_needs_eight_bits_a_sample():
    model = WaveNet(preset("tiny").model)
    codes = torch.randint(256, (1, 50))
    mask = torch.ones(1, 50, dtype=torch.bool)
    assert mean_bits(model.head.bits(model(codes), codes), mask).item() == pytest.approx(8.0, abs=1e-5)


def test_masked_targets_do_not_count():
    logits = torch.randn(1, 4, 8)
    targets = torch.tensor([[1, 2, 3, 4]])
    mask = torch.tensor([[True, True, False, False]])
    expected = torch.nn.functional.cross_entropy(logits[0, :2], targets[0, :2]) / torch.tensor(2.0).log()
    bits = CategoricalHead(8).bits(logits, targets)
    torch.testing.assert_close(mean_bits(bits, mask), expected)
    assert float(mean_bits(bits, torch.zeros_like(mask))) == 0


def test_at_first_neighbouring_codes_stand_for_nearly_the_same():
    model = WaveNet(ModelConfig(residual_channels=200, dilations=(1,)), torch.Generator().manual_seed(0))
    assert isinstance(model.front, CodeFront)
    found = model.front.tables.detach()
    assert found.square().mean() == pytest.approx(1 / 2, rel=0.1)
    assert (found[:, 1:] - found[:, :-1]).square().mean() < 0.01 * found.square().mean()
    assert (found[:, 128:] - found[:, :128]).square().mean() > found.square().mean()


def test_a_front_of_samples_is_a_convolution_over_their_values():
    front = SampleFront(5, 3)
    torch.nn.init.normal_(front.weight)
    torch.nn.init.normal_(front.bias)
    samples = torch.randint(-(2**15), 2**15, (2, 12))
    padded = torch.nn.functional.pad((samples * STEP)[:, None], (2, 0))
    expected = torch.nn.functional.conv1d(padded, front.weight.t()[:, None], front.bias)
    torch.testing.assert_close(front(samples), expected.transpose(1, 2))


def test_weights_are_drawn_with_the_deviation_that_keeps_unit_variance():
    mel = MelConfig(n_mels=40).resolved(16_000)
    config = ModelConfig(
        residual_channels=128, dilation_channels=64, skip_channels=96, dilations=(1, 2, 4), speakers=("a", "b"), mel=mel
    )
    model = WaveNet(config, torch.Generator().manual_seed(0))
    block = model.blocks[1]
    for weight, deviation in (
        (block.dilated.weight, (128 * 2) ** -0.5),
        (block.residual.weight, (3 * 64) ** -0.5),
        (block.skip.weight, (3 * 64) ** -0.5),
        (block.global_projection.weight, 0.5 * config.global_channels**-0.5),
        (block.local_projection.weight, 0.5 * config.local_width**-0.5),
        (model.output1.weight, (2 / 96) ** 0.5),
    ):
        assert weight.std().item() == pytest.approx(deviation, rel=0.05)
    assert model.blocks[-1].residual is None
    assert not model.output1.bias.any()
    assert not model.output2.weight.any()


def test_a_front_of_samples_brings_typical_speech_to_unit_variance():
    config = ModelConfig(head="gaussian", residual_channels=2_000, dilation_channels=1, skip_channels=1, dilations=(1,))
    front = WaveNet(config, torch.Generator().manual_seed(0)).front
    assert front.weight.std().item() == pytest.approx(2**-0.5 / 0.1, rel=0.05)


@pytest.mark.parametrize(("rows", "steps", "phase", "fits"), [(1, 5, 2, True), (1, 5, 3, False), (2, 9, 0, False)])
def test_a_condition_must_have_the_rows_and_reach_the_end_of_the_codes(rows, steps, phase, fits):
    model = net(ModelConfig(residual_channels=2, dilation_channels=3, skip_channels=2, dilations=(1, 2)))
    condition = Condition(torch.zeros(rows, steps, 2 * 2 * 3), 4, phase)
    codes = torch.zeros(1, 18, dtype=torch.int64)
    if fits:
        torch.testing.assert_close(model(codes, condition=condition), model(codes))
    else:
        with pytest.raises(ValueError, match="does not fit codes"):
            model(codes, condition=condition)


def test_auto_takes_bfloat16_where_it_is_faster_and_the_head_bears_it(monkeypatch):
    monkeypatch.setattr(network, "bfloat16_is_faster", lambda device: device == "cuda")
    assert product_dtype("auto", "cuda") == torch.bfloat16
    assert product_dtype("auto", "cpu") == torch.float32
    assert product_dtype("auto", "cuda", GaussianHead()) == torch.float32
    assert product_dtype("bfloat16", "cpu", GaussianHead()) == torch.bfloat16
    assert product_dtype("float32", "cuda") == torch.float32


@pytest.mark.parametrize(("head", "dtype"), [("gaussian", torch.float32), ("mu-law", torch.bfloat16)])
def test_means_and_scales_stay_float32_among_products_in_bfloat16(head, dtype):
    model = WaveNet(ModelConfig(head=head, dilations=(1, 2)), torch.Generator().manual_seed(0))
    model.product_dtype = torch.bfloat16
    assert model(torch.zeros(1, 9, dtype=torch.int64)).dtype == dtype


def test_both_output_layers_follow_a_relu():
    model = net(ModelConfig(residual_channels=2, dilation_channels=3, skip_channels=5, dilations=(1,)))
    skips = torch.randn(2, 7, 5, generator=torch.Generator().manual_seed(0))
    expected = model.output2(model.output1(skips.clamp(min=0)).clamp(min=0))
    torch.testing.assert_close(model._output(skips, torch.zeros(2, 7, dtype=torch.int64)), expected)
