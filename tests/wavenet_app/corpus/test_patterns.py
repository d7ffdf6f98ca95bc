"""Expressions of users end in time, and say what is wrong in one line."""

import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wavenet_app.core.errors import UserError
from wavenet_app.corpus import patterns
from wavenet_app.corpus.patterns import compiled
from wavenet_app.corpus.speakers import speaker_rule
from wavenet_app.corpus.split import split_files

ENDLESS = r"^(a|aa|aaa)*(b|bb)*(a|aa)*$"


@pytest.mark.parametrize("expression", ["(a+)+$", ENDLESS, r"(.*a){20}$"])
def test_a_search_that_tries_everything_is_stopped(expression, monkeypatch):
    monkeypatch.setattr(patterns, "MOST_SECONDS", 0.2)
    began = time.monotonic()
    try:
        found = compiled(expression, "--split-by").search("a" * 200 + "!")
    except UserError as error:
        text = str(error)
    else:
        assert found is None
        text = ""
    assert time.monotonic() - began < 5
    assert text == "" or "takes more than 0.2 s for 'aaa" in text
    assert "\n" not in text


def test_both_options_say_whose_expression_takes_too_long(monkeypatch):
    monkeypatch.setattr(patterns, "MOST_SECONDS", 0.2)
    name = "a" * 200 + "!"
    with pytest.raises(UserError, match=r"^--split-by .* takes more than"):
        split_files([name, "b"], 0.1, ENDLESS)
    with pytest.raises(UserError, match=r"^--speakers regex: .* takes more than"):
        speaker_rule(f"regex:{ENDLESS}")(name)


@pytest.mark.parametrize(
    "expression",
    ["a{99999999999}", "(?P<speaker>){99999999999}(?<=a)*?", "(", "[", "*", "(" * 1000, "a{" + "9" * 900 + "}"],
)
def test_an_expression_that_cannot_be_compiled_is_one_line(expression):
    for use in (
        lambda: split_files(["a", "b"], 0.1, expression),
        lambda: speaker_rule(f"regex:{expression}"),
    ):
        with pytest.raises(UserError, match="is not a valid regular expression") as error:
            use()
        assert len(str(error.value).splitlines()) == 1
        assert len(str(error.value)) < 300


@pytest.mark.parametrize("expression", ["a" * 1_001, "a{" + "9" * 5_000 + "}", "(" * 100_000, r"[^/]+x?" * 20_000])
def test_an_expression_of_any_length_is_answered_at_once(expression):
    began = time.process_time()
    with pytest.raises(UserError, match=r"^--split-by .* characters; an expression may have 1,000$"):
        split_files(["a", "b"], 0.1, expression)
    assert time.process_time() - began < 1
    assert compiled("a" * 1_000, "--split-by").search("a" * 1_000) is not None


@given(st.text(max_size=12))
@settings(deadline=None, max_examples=200)
def test_any_text_compiles_or_is_refused(expression):
    try:
        pattern = compiled(expression, "--split-by")
    except UserError:
        return
    pattern.search("speech/jo_1.wav")


@pytest.mark.parametrize(
    "expression", [r"_([a-z]+)_", r"^[^/]+", r"(?P<speaker>\w+)/", r"\d+", r"(a)|(b)", r"([^/]+)[.][^./]+$"]
)
def test_expressions_mean_what_they_mean_to_python(expression):
    names = ["jackson/0.wav", "0_theo_1.wav", "a/b/c.wav", "b", "", "é_ü_1.flac"]
    pattern, own = compiled(expression, "--split-by"), re.compile(expression)
    for name in names:
        found, expected = pattern.search(name), own.search(name)
        assert (found and found.span()) == (expected and expected.span())
        assert (found and found.groups()) == (expected and expected.groups())
    assert (pattern.groups, pattern.names) == (own.groups, frozenset(own.groupindex))
