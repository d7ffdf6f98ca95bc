"""Mistakes on the command line are one line, which says what to type instead."""

import pytest


@pytest.mark.parametrize(
    ("arguments", "line", "command"),
    [
        (["play"], "there is no command 'play'; did you mean sample --play?", "wavegen"),
        (["smaple"], "there is no command 'smaple'; did you mean sample?", "wavegen"),
        (["xyz"], "there is no command 'xyz'.", "wavegen"),
        (
            ["train", "--epochs", 3],
            "there is no option --epochs; did you mean --max-steps or --minutes?",
            "wavegen train",
        ),
        (
            ["sample", "--temprature", 1],
            "there is no option --temprature; did you mean --temperature?",
            "wavegen sample",
        ),
        (["sample", "-n", 0], "invalid value for '--clips' / '-n': it must be at least 1.", "wavegen sample"),
        (["sample", "--top-p", 2], "invalid value for '--top-p': it must be at most 1.", "wavegen sample"),
        (["sample", "--seconds", "a"], "invalid value for '--seconds': it must be a number.", "wavegen sample"),
        (
            ["sample", "-n", "a"],
            "invalid value for '--clips' / '-n': it must be a whole number.",
            "wavegen sample",
        ),
        (["vocode", "x"], "missing argument 'IN'.", "wavegen vocode"),
        (["train", "--minutes"], "option '--minutes' requires an argument.", "wavegen train"),
    ],
)
def test_a_mistake_is_one_line_with_what_to_type_instead(wavegen, arguments, line, command):
    code, out, err = wavegen(*arguments)
    assert (code, out, err) == (2, "", f"error: {line} See: {command} -h\n")


def test_without_a_command_the_help_is_shown(wavegen):
    code, out, err = wavegen()
    assert code == 2
    assert "Start with: wavegen sample kathleen --play" in out + err
