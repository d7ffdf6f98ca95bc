"""Conditioning: the fast path equals the plain blocks, steps stand where their frames do, voices mix."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from small_net import net

from wavenet_app.config import MelConfig, ModelConfig, RunConfig, preset
from wavenet_app.core.settings import validated
from wavenet_app.network.conditioning import CONTEXT_FRAMES, Conditioning, GlobalCondition, LocalCondition
from wavenet_app.network.model import WaveNet


def mel(upsampling: int, hold: int, n_mels: int = 3, melody: bool = True) -> MelConfig:
    settings_of_mel = MelConfig(n_mels=n_mels, hop_length=upsampling * hold, upsampling=upsampling, melody=melody)
    return settings_of_mel.resolved(1_000)


mels = st.builds(mel, upsampling=st.integers(1, 4), hold=st.integers(1, 9), melody=st.booleans())
configs = st.builds(
    ModelConfig,
    residual_channels=st.integers(1, 5),
    dilation_channels=st.integers(1, 5),
    skip_channels=st.integers(1, 5),
    kernel_size=st.sampled_from([2, 3]),
    dilations=st.lists(st.integers(1, 9), min_size=1, max_size=4).map(tuple),
    quantization_channels=st.sampled_from([4, 16]),
    speakers=st.sampled_from([(), ("ann",), ("ann", "jo")]),
    global_channels=st.integers(1, 4),
    mel=st.one_of(st.none(), mels),
    local_channels=st.integers(1, 4),
)


def conditioning_for(
    config: ModelConfig, rows: int, samples: int, seed: int, dtype: torch.dtype = torch.float64
) -> Conditioning:
    generator = torch.Generator().manual_seed(seed)
    speakers = frames = None
    if config.speakers:
        speakers = torch.rand(rows, len(config.speakers), generator=generator, dtype=dtype)
    if config.mel:
        count = -(-samples // config.mel.hop) + 2 * CONTEXT_FRAMES
        frames = torch.randn(rows, count, config.mel.columns, generator=generator, dtype=dtype)
    return Conditioning(speakers, frames)


@given(configs, st.integers(1, 60), st.data())
@settings(deadline=None, max_examples=80)
def test_fast_path_equals_the_plain_blocks_in_values_and_gradients(config, time, data):
    start = data.draw(st.integers(0, time - 1))
    phase = data.draw(st.integers(0, config.mel.hop - 1)) if config.mel else 0
    model = net(config).double()
    model.product_dtype = torch.float64
    codes = torch.randint(config.quantization_channels, (2, time), generator=torch.Generator().manual_seed(time))
    weight = torch.randn(2, time - start, config.quantization_channels, dtype=torch.float64)
    conditioning = conditioning_for(config, 2, phase + time, seed=time)
    inputs = [tensor.requires_grad_() for tensor in conditioning if tensor is not None]
    reference = model.forward_by_blocks(codes, conditioning, phase)[:, start:]
    fast = model(codes, start, model.condition(conditioning, phase))
    torch.testing.assert_close(fast, reference)
    wanted = [*model.parameters(), *inputs]
    expected = torch.autograd.grad((reference * weight).sum(), wanted, allow_unused=True)
    found = torch.autograd.grad((fast * weight).sum(), wanted, allow_unused=True)
    for one, other in zip(expected, found, strict=True):
        assert (one is None) == (other is None)
        if one is not None:
            torch.testing.assert_close(one, other)


def test_pieces_of_a_long_window_get_the_right_steps(monkeypatch):
    from wavenet_app.network.stack import fused as fused_stack

    config = preset("tiny").model.model_copy(update={"mel": mel(4, 25), "speakers": ("ann", "jo")})
    model = net(config).double()
    model.product_dtype = torch.float64
    codes = torch.randint(256, (2, 700))
    conditioning = conditioning_for(config, 2, 713, seed=0)
    outcomes = []
    for size in (10**9, 8 * 37):  # float64 is worked on by PyTorch's operations
        monkeypatch.setattr(fused_stack, "_PIECE_BYTES", size)
        logits = model(codes, 300, model.condition(conditioning, 13))
        outcomes.append([logits, *torch.autograd.grad(logits.square().sum(), list(model.parameters()))])
    for one, other in zip(*outcomes, strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("conditioning", ["mel", "speakers"])
def test_float32_and_bfloat16_stay_near(conditioning):
    update = {"mel": mel(8, 25, n_mels=80)} if conditioning == "mel" else {"speakers": ("ann", "jo")}
    config = preset("small").model.model_copy(update=update)
    model = WaveNet(config, torch.Generator().manual_seed(1))
    torch.nn.init.normal_(model.output2.weight, std=0.2)
    codes = torch.randint(256, (2, 3000))
    given_ = conditioning_for(config, 2, 3000, seed=0, dtype=torch.float32)
    with torch.no_grad():
        exact = model.forward_by_blocks(codes, given_)
        torch.testing.assert_close(model(codes, 0, model.condition(given_)), exact, atol=2e-4, rtol=1e-4)
        model.product_dtype = torch.bfloat16
        rough = model(codes, 0, model.condition(given_)).float()
    assert (rough - exact).abs().max() < 0.1 * exact.abs().max()


@given(st.integers(1, 9), st.integers(1, 6), st.integers(1, 12))
@settings(deadline=None, max_examples=30)
def test_steps_are_exactly_frames_times_upsampling_and_see_only_their_neighbours(frames, upsampling, changed):
    torch.manual_seed(0)
    upsampler = LocalCondition(4, 5, upsampling, melody_channels=2)
    given_ = torch.randn(2, frames + 2 * CONTEXT_FRAMES, 4 + 2 * upsampling)
    steps = upsampler(given_)
    assert steps.shape == (2, frames * upsampling, 5 + 2)
    changed = (changed - 1) % given_.shape[1]
    other = given_.clone()
    other[:, changed] += 1
    differs = (upsampler(other) != steps).any(dim=2).any(dim=0).view(frames, upsampling).any(dim=1)
    near = (torch.arange(frames) + CONTEXT_FRAMES - changed).abs() <= CONTEXT_FRAMES
    assert not differs[~near].any()
    assert differs[near].any()
    for frame in range(frames):  # a frame is the same wherever it is cut out
        cut = upsampler(given_[:, frame : frame + 1 + 2 * CONTEXT_FRAMES])
        torch.testing.assert_close(cut, steps[:, frame * upsampling : (frame + 1) * upsampling])


def test_a_mixed_voice_is_a_mix_of_embeddings():
    voices = GlobalCondition(3, 4)
    voices.initialise(None)
    mixed = voices(torch.tensor([[0.25, 0.0, 0.75]]))[0]
    torch.testing.assert_close(mixed, 0.25 * voices.embeddings[0] + 0.75 * voices.embeddings[2])


def test_the_model_asks_for_what_it_was_built_for():
    config = preset("tiny").model
    plain = WaveNet(config)
    assert plain.condition(Conditioning()) is None
    with pytest.raises(ValueError, match="built without speakers"):
        plain.condition(Conditioning(speakers=torch.ones(1, 1)))
    voiced = WaveNet(config.model_copy(update={"speakers": ("ann",), "mel": mel(8, 5)}))
    with pytest.raises(ValueError, match="needs speakers"):
        voiced.condition(Conditioning())
    with pytest.raises(ValueError, match="needs frames"):
        voiced.condition(Conditioning(speakers=torch.ones(1, 1)))


@pytest.mark.parametrize(("rows", "samples"), [(2, 39), (1, 40)])
def test_a_condition_that_does_not_fit_the_codes_is_refused(rows, samples):
    model = WaveNet(preset("tiny").model.model_copy(update={"mel": mel(1, 1)}))
    condition = model.condition(conditioning_for(model.config, rows, samples, seed=0, dtype=torch.float32))
    with pytest.raises(ValueError, match=f"a condition of {rows} rows and {samples} samples"):
        model(torch.zeros(2, 40, dtype=torch.int64), 0, condition)


def test_a_model_without_conditioning_is_as_it_was():
    config = preset("tiny").model
    values = preset("tiny").model_dump(mode="json")
    for name in ("speakers", "global_channels", "mel", "local_channels"):
        del values["model"][name]
    assert validated(RunConfig, values).model == config, "a checkpoint from before there were conditions still loads"
    plain = WaveNet(config, torch.Generator().manual_seed(2)).state_dict()
    conditioned = WaveNet(
        config.model_copy(update={"speakers": ("ann",), "mel": mel(8, 5)}), torch.Generator().manual_seed(2)
    ).state_dict()
    assert not any("condition" in name or "_projection" in name for name in plain)
    for name, weight in plain.items():
        assert torch.equal(weight, conditioned[name]), name
