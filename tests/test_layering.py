"""Names, globs, rates and the comparison of two nets, without a framework."""

import numpy as np
import pytest

from tlcourse.layering import (
    check_depth,
    compare_weights,
    falling_rates,
    group_by_rate,
    match_names,
    matches,
)

NAMES = ["body.block1.conv", "body.block1.norm", "body.block2.conv", "head"]


@pytest.mark.parametrize(
    ("patterns", "wanted"),
    [
        (["body"], NAMES[:3]),
        (["*"], NAMES),
        (["*.norm"], [NAMES[1]]),
        (["head", "*block[1]"], [NAMES[0], NAMES[1], NAMES[3]]),
        (["body.block1"], NAMES[:2]),
        (["HEAD", "head"], None),
        (["block1"], None),
        (["body.block"], None),
        ([], None),
    ],
)
def test_globs_take_what_they_match_and_all_below_in_the_order_of_the_net(patterns, wanted):
    if wanted is None:
        with pytest.raises(ValueError, match="no pattern is given|matches none of the layers"):
            match_names(NAMES, patterns, "layers")
    else:
        assert match_names(iter(NAMES), patterns, "layers") == wanted
        assert [n for n in NAMES if any(matches(n, p) for p in patterns)] == wanted


def test_a_glob_without_a_match_is_answered_with_the_names_there_are():
    many = [f"deep.net.layer{row}" for row in range(20)] + ["head"]
    with pytest.raises(ValueError) as caught:
        match_names(many, ["x"], "layers")
    text = str(caught.value)
    assert text.startswith("pattern 'x' matches none of the layers; there are head, deep.net.layer")
    assert text.endswith(", ....") and text.count(",") == 12


def test_each_name_has_the_rate_of_the_first_glob_that_matches():
    trainable = NAMES[1:]
    assert group_by_rate(NAMES, trainable, 0.5, "layer") == [(0.5, trainable)]
    rates = {"head": 1.0, "*.norm": 0.2, "*": 0.1}
    assert group_by_rate(NAMES, trainable, rates, "layer") == [
        (1.0, ["head"]),
        (0.2, ["body.block1.norm"]),
        (0.1, ["body.block2.conv"]),
    ]
    # a rate for what is frozen is no mistake, and makes no group
    assert group_by_rate(NAMES, ["head"], {"body": 1.0, "head": 2.0}, "layer") == [(2.0, ["head"])]


@pytest.mark.parametrize(
    ("trainable", "lr", "reason"),
    [
        ([], 0.1, "all are frozen"),
        (NAMES, 0, "rates must be > 0"),
        (NAMES, {"*": float("nan")}, "rates must be > 0"),
        (NAMES, {"*": 0.1, "tail": 0.1}, "'tail' matches none of the layers"),
        (NAMES, {"body": 0.1}, "has no rate for the layer 'head'"),
    ],
)
def test_rates_that_say_nothing_are_refused(trainable, lr, reason):
    with pytest.raises(ValueError, match=reason):
        group_by_rate(NAMES, trainable, lr, "layer")


def test_rates_fall_from_the_head():
    np.testing.assert_allclose(falling_rates(3, 2.6**2, 2.6), [1, 2.6, 2.6**2])
    assert falling_rates(2, 0.1, 1) == [0.1, 0.1]
    for top, decay in ((0, 2), (-1, 2), (1, 0.9), (float("nan"), 2), (1, float("nan"))):
        with pytest.raises(ValueError, match="top must be > 0 and decay >= 1"):
            falling_rates(3, top, decay)


@pytest.mark.parametrize(("k", "is_right"), [(0, False), (1, True), (5, True), (6, False)])
def test_depths_are_counted_from_the_least_to_all(k, is_right):
    for given in (k, np.int64(k)):
        if is_right:
            check_depth("k", given, 5, least=1)
        else:
            with pytest.raises(ValueError, match="has 5 layers, so give an integer from 1 to 5"):
                check_depth("k", given, 5, least=1)
    for given in (True, 1.0, "1"):
        with pytest.raises(ValueError, match="k is"):
            check_depth("k", given, 5, least=1)


def test_what_agrees_is_copied_and_the_rest_has_a_reason():
    given = {"a": (2, 3), "b": (3,), "mean": (3,), "old": (1,)}
    wanted = {"a": (2, 3), "b": (4,), "mean": (3,), "new": (1,)}
    report = compare_weights(given, wanted, ["a", "b", "new"])
    assert report.copied == ("a", "mean")
    assert report.skipped == {
        "b": "shape: (3,) in the source, (4,) in the target",
        "new": "missing: the source has no such name",
        "old": "unused: the target has no such name",
    }
    with pytest.raises(ValueError, match="share no parameter by name and shape"):
        compare_weights({"mean": (3,)}, wanted, ["a", "b", "new"])  # statistics are none
