"""The sentence about a vocoder: as sampled first, then what the model adds to refinement."""

import pytest

from fast_gen.evaluation.vocoded import distance_sentence

GOOD = {"as sampled": 6.55, "refined": 5.07, "refined noise": 5.13, "Griffin-Lim": 5.16}


def test_it_starts_as_sampled_and_gives_the_share_of_the_model():
    assert distance_sentence(4, 10.5, GOOD) == (
        "vocoded, 4 held-out clips (10.5 s): as sampled 6.55 dB from the quantised originals (Griffin-Lim 5.16 dB); "
        "refined 5.07 dB, of which the model's share is 0.06 dB, as refined noise is at 5.13 dB"
    )


def test_it_names_what_the_filter_makes_of_noise():
    assert "(filtered noise 6.37 dB, Griffin-Lim 5.16 dB)" in distance_sentence(
        4, 10.5, {**GOOD, "filtered noise": 6.37}
    )


@pytest.mark.parametrize(("refined", "seconds"), [(5.12, 10.5), (5.13, 10.5), (5.20, 10.5), (5.07, 1.0)])
def test_a_vocoder_that_is_no_better_than_refined_noise_has_learned_nothing(refined, seconds):
    sentence = distance_sentence(1, seconds, {**GOOD, "refined": refined})
    assert "as sampled 6.55 dB from the quantised original (" in sentence
    assert sentence.endswith(
        f"refined {refined:.2f} dB, not clearly nearer than refined noise at 5.13 dB: "
        "the vocoder has learned nothing yet"
    )
