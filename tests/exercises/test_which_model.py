"""Chapter 13's checks turn stubs and the usual wrong answers away."""

from itertools import combinations

import numpy as np
import pytest
from scipy import stats

from tlcourse.exercises import Hint, check_kendall, check_leep, check_nce, check_regret


def stub(*_):
    raise NotImplementedError


def joint_of(first, second):
    joint = np.zeros((first.max() + 1, second.max() + 1))
    np.add.at(joint, (first, second), 1 / len(first))
    return joint


def nce(source, labels):
    joint = joint_of(source, labels)
    seen = joint > 0
    given = joint / np.maximum(joint.sum(axis=1, keepdims=True), 1e-12)
    return np.sum(joint[seen] * np.log(given[seen]))


def entropy(shares):
    shares = shares[shares > 0]
    return -np.sum(shares * np.log(shares))


def mutual_information(source, labels):
    return nce(source, labels) + entropy(joint_of(source, labels).sum(axis=0))


def zeros_kept(source, labels):
    joint = joint_of(source, labels)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.sum(joint * np.log(joint / joint.sum(axis=1, keepdims=True)))


def unweighted(source, labels):
    joint = joint_of(source, labels)
    given = joint / np.maximum(joint.sum(axis=1, keepdims=True), 1e-12)
    return np.log(given[given > 0]).sum()


def make_leep(*, axis=0, divide=True, inside=False, reduce=np.mean, log=np.log):
    def leep(theta, labels):
        joint = np.eye(labels.max() + 1)[labels].T @ theta / len(labels)
        given = joint / joint.sum(axis=axis, keepdims=True) if divide else joint
        if inside:
            return (theta * np.log(given[labels])).sum(axis=1).mean()
        return reduce(log((theta * given[labels]).sum(axis=1)))

    return leep


def regret(scores, measured):
    return max(measured.values()) - measured[max(scores, key=scores.get)]


def by_place(scores, measured):
    values = list(measured.values())
    return max(values) - values[int(np.argmax(list(scores.values())))]


def kendall(scores, measured):
    pairs = list(combinations(scores, 2))
    signs = [np.sign((scores[a] - scores[b]) * (measured[a] - measured[b])) for a, b in pairs]
    return sum(signs) / len(pairs)


def kendall_by_scipy(scores, measured):
    return stats.kendalltau(list(scores.values()), [measured[name] for name in scores])[0]


def statistic(rule):
    return lambda s, m: rule(list(s.values()), [m[name] for name in s])[0]


WRONG = [
    (check_nce, stub, "no answer yet"),
    (check_nce, lambda z, y: -nce(z, y), "sign"),
    (check_nce, lambda z, y: nce(y, z), "turn the condition"),
    (check_nce, lambda z, y: -entropy(joint_of(z, y)), "joint entropy"),
    (check_nce, mutual_information, "mutual information"),
    (check_nce, lambda z, y: nce(z, y) / np.log(2), "natural"),
    (check_nce, lambda z, y: len(y) * nce(z, y), "mean"),
    (check_nce, zeros_kept, "never occurs"),
    (check_nce, unweighted, "weigh each pair"),
    (check_nce, lambda z, y: -0.5, "minus the entropy"),
    (check_nce, lambda z, y: None, "returns nothing"),
    (check_leep, stub, "no answer yet"),
    (check_leep, lambda p, y: -make_leep()(p, y), "sign"),
    (check_leep, lambda p, y: nce(p.argmax(axis=1), y), "hard answers"),
    (check_leep, make_leep(axis=1), "normalise over the target"),
    (check_leep, make_leep(divide=False), "divided by"),
    (check_leep, make_leep(inside=True), "outside the sum"),
    (check_leep, make_leep(reduce=lambda x: np.log(np.mean(np.exp(x)))), "logarithm of the mean"),
    (check_leep, make_leep(reduce=np.sum), "LEEP is a mean"),
    (check_leep, make_leep(log=np.log2), "natural"),
    (check_leep, make_leep(log=np.asarray), "take the logarithm"),
    (check_leep, lambda p, y: -0.5, "expected prediction"),
    (check_kendall, stub, "no answer yet"),
    (check_kendall, lambda s, m: -kendall(s, m), "sign"),
    (
        check_kendall,
        lambda s, m: stats.kendalltau(list(s.values()), list(m.values()))[0],
        "by name",
    ),
    (check_kendall, lambda s, m: (kendall(s, m) + 1) / 2, "share of pairs"),
    (check_kendall, lambda s, m: 10 * kendall(s, m), "number of pairs"),
    (check_kendall, lambda s, m: kendall(s, m) / 2, "counts once"),
    (check_kendall, statistic(stats.pearsonr), "not of their order"),
    (check_kendall, statistic(stats.spearmanr), "Spearman"),
    (check_kendall, lambda s, m: 0.123, "over all pairs"),
    (check_kendall, lambda s, m: kendall(s, m) if len(s) > 3 else 1.0, "turned round"),
    (check_regret, stub, "no answer yet"),
    (check_regret, lambda s, m: -regret(s, m), "never negative"),
    (check_regret, lambda s, m: max(m.values()) - m[min(s, key=s.get)], "lowest score"),
    (check_regret, by_place, "by name"),
    (check_regret, lambda s, m: m[max(s, key=s.get)] - np.mean(list(m.values())), "the mean"),
    (check_regret, lambda s, m: max(m.values()) - max(s.values()), "not scores"),
    (check_regret, lambda s, m: regret(s, m) / max(m.values()), "share"),
    (check_regret, lambda s, m: m[max(s, key=s.get)], "missing to the best"),
    (check_regret, lambda s, m: 0.08, "regret is 0"),
    (check_regret, lambda s, m: 0.3, "highest score"),
]


@pytest.mark.parametrize(("check", "answer", "hint"), WRONG)
def test_wrong_answers_get_the_right_hint(check, answer, hint):
    with pytest.raises(Hint, match=hint):
        check(answer)


def test_right_answers_pass():
    check_nce(nce)
    check_leep(make_leep())
    check_kendall(kendall)
    check_kendall(kendall_by_scipy)
    check_regret(regret)
