"""A user error is one line, whatever names are in it."""

import pickle

from hypothesis import given
from hypothesis import strategies as st

from wavenet_app.audio.decoding import UnreadableAudioError
from wavenet_app.core.errors import UserError


@given(st.text())
def test_any_name_in_a_message_leaves_it_one_line(name):
    for error in (UserError(f"{name}: is damaged"), UnreadableAudioError(name, f"no codec {name}")):
        assert len(str(error).splitlines()) == 1
        assert str(error).split()[-1:] == f"x {error.args[0]}".split()[-1:]


def test_other_spaces_of_a_message_stay():
    assert str(UserError("no file  a\nb\u2028c.wav")) == "no file  a b c.wav"
    assert str(pickle.loads(pickle.dumps(UserError("a\nb")))) == "a b"  # noqa: S301 - as processes send them
