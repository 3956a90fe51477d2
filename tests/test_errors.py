"""Messages: whatever they quote, they can be read."""

from __future__ import annotations

import pickle

from hypothesis import given, settings
from hypothesis import strategies as st

from yolo_wiou import ConfigError


@settings(max_examples=300, deadline=None)
@given(st.text(), st.integers(0, 100_000), st.sampled_from(["", " ", "\n", "\x1b[2J", "a"]))
def test_a_message_is_short_and_harmless_whatever_it_quotes(text: str, times: int, between: str) -> None:
    message = str(ConfigError(f"'{text}{(text + between) * (times // (len(text) + 1))}' is unknown. Valid: ciou."))
    assert len(message) < 50_000
    assert message.count("\n") <= 20
    assert all(character.isprintable() for line in message.split("\n") for character in line)
    assert message.isprintable() or "\n" in message


def test_what_is_short_stays_as_it_is_and_what_is_long_keeps_its_end() -> None:
    said = "unknown loss 'wiuo3'. Did you mean 'wiou3'? Valid: α-iou, /a/path/of/some/length.yaml\nand more"
    assert str(ConfigError(said)) == str(pickle.loads(pickle.dumps(ConfigError(said)))) == said
    long = str(ConfigError(f"unknown loss '{'x' * 5000}'. Valid: ciou."))
    assert len(long) < 200
    assert long.startswith("unknown loss 'xxx")
    assert long.endswith("xxx'. Valid: ciou.")
