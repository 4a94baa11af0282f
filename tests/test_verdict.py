"""What may be said from a study: verdicts on scores whose answer is known, labels saved, negative controls."""

import re
from dataclasses import replace
from functools import lru_cache
from itertools import permutations

import numpy as np
import pytest
from scipy.stats import norm
from scipy.stats import t as student

from sslbook.baselines import majority
from sslbook.data import DataError
from sslbook.domains.imaging.data import Images
from sslbook.domains.imaging.duplicates import duplicates
from sslbook.domains.imaging.methods import pixels
from sslbook.metrics import Metric, Prediction
from sslbook.probes import standardise
from sslbook.study import Method, Study, label_budget_study, probe_method
from sslbook.verdict import OUTCOMES, LabelsSaved, Verdict, compare, labels_saved
from sslbook.worlds.imaging import simulate_pneumoniamnist
from tests.test_parallel import on
from tests.test_study import LABELS, TEST_LABELS, TWO_BUDGETS, number_of_draw, stated_score, study_of

CURVE = {"simple": ("classical", {10: 0.7, 100: 0.8, 1000: 0.9})}


@pytest.fixture(autouse=True)
def one_process():
    """The runs of these tests are too short to be sent away."""
    with on(1):
        yield


# ------------------------------------------------------------------------------------------------- comparisons


def test_what_a_draw_does_to_both_methods_cancels_in_their_difference():
    curves = {"a": ("ssl", {10: 0.82}), "b": ("classical", {10: 0.8})}
    study = study_of(curves, lambda draw, seed: 0.05 * draw)
    _, low, high = study.interval("score", "a", 10)
    assert high - low > 0.05
    verdict = compare(study, "score", "a", "b", 10)
    assert (verdict.difference, verdict.low, verdict.high) == pytest.approx((0.02, 0.02, 0.02))
    assert verdict.outcome == "gain"


def test_what_a_seed_does_to_both_methods_on_one_encoder_cancels_in_their_difference():
    curves = {"a": ("ssl", {10: 0.82}), "b": ("untrained", {10: 0.8}), "c": ("untrained", {10: 0.8})}
    on_one = {"encoder": "small network"}
    study = study_of(curves, lambda draw, seed: 0.05 * seed, a=on_one, b=on_one)
    verdict = compare(study, "score", "a", "b", 10)
    assert (verdict.difference, verdict.low, verdict.high) == pytest.approx((0.02, 0.02, 0.02))
    assert verdict.outcome == "gain"
    half = student.ppf(0.975, 4) * 0.05 * np.sqrt(2 / 3)
    apart = compare(study, "score", "a", "c", 10)
    assert (apart.low, apart.high) == pytest.approx((0.02 - half, 0.02 + half))
    assert apart.outcome == "undecided"


def test_only_draws_that_both_methods_ran_are_compared():
    curves = {"a": ("ssl", {10: 0.8}), "b": ("classical", {10: 0.7})}
    study = study_of(curves, lambda draw, seed: 0.1 * (draw >= 2), b={"draws": 2})
    verdict = compare(study, "score", "a", "b", 10)
    assert verdict.n == 2
    assert (verdict.difference, verdict.low, verdict.high) == pytest.approx((0.1, 0.1, 0.1))
    assert verdict.outcome == "too few runs"


def test_error_reduction_is_the_share_of_the_errors_avoided():
    curves = {"a": ("ssl", {10: 0.95}), "b": ("classical", {10: 0.9}), "perfect": ("supervised", {10: 1.0})}
    study = study_of(curves)
    verdict = compare(study, "score", "a", "b", 10)
    assert verdict.error_reduction == pytest.approx(0.5)
    assert (verdict.error_reduction_low, verdict.error_reduction_high) == pytest.approx((0.5, 0.5))
    assert compare(study, "score", "b", "a", 10).error_reduction == pytest.approx(-1.0)
    against_none = compare(study, "score", "a", "perfect", 10)
    assert np.isnan([against_none.error_reduction, against_none.error_reduction_low]).all(), "no error to avoid"
    assert against_none.outcome == "loss"


def test_lift_is_the_relative_gain():
    curves = {"a": ("ssl", {10: 0.3}), "b": ("classical", {10: 0.2}), "none": ("trivial", {10: 0.0})}
    open_ended = {"metrics": {"score": Metric(stated_score)}}
    study = study_of(curves, study=open_ended)
    verdict = compare(study, "score", "a", "b", 10)
    assert (verdict.lift, verdict.lift_low, verdict.lift_high) == pytest.approx((0.5, 0.5, 0.5))
    assert "relative +50% [+50%, +50%]: gain" in str(verdict) and "errors" not in str(verdict)
    assert np.isnan(verdict.error_reduction)
    assert np.isnan(compare(study, "score", "a", "none", 10).lift)
    wobbling = compare(study_of(curves, lambda draw, seed: 0.1 * draw, open_ended), "score", "a", "b", 10)
    assert wobbling.lift == pytest.approx(0.5 / 0.4 - 1)
    assert wobbling.lift_low < wobbling.lift < wobbling.lift_high < 0.5


def test_of_error_rates_the_verdict_states_the_reduction():
    verdict = Verdict("auc", "simclr", "pixels", 47, 0.02, 0.01, 0.03, 0.1, 0.05, 0.2, 5, 0.02, 0.01, 0.03)
    assert str(verdict) == (
        "simclr against pixels at 47 labels: auc +0.020 [+0.010, +0.030], errors reduced by 10% [5%, 20%]: gain"
    )


def test_intervals_of_error_reduction_and_lift_are_symmetric_in_the_logarithm():
    curves = {"a": ("ssl", {10: 0.9}), "b": ("classical", {10: 0.8})}
    verdict = compare(study_of(curves, lambda draw, seed: 0.02 * draw * (seed - 1)), "score", "a", "b", 10)
    reduction = verdict.error_reduction_high, verdict.error_reduction, verdict.error_reduction_low
    for ratios in (1 - np.array(reduction), 1 + np.array([verdict.lift_low, verdict.lift, verdict.lift_high])):
        assert 0 < ratios[0] < ratios[1] < ratios[2]
        assert ratios[1] / ratios[0] == pytest.approx(ratios[2] / ratios[1])


def test_the_unit_of_a_budget_is_named():
    study = study_of({**CURVE, "ssl": ("ssl", {10: 0.85})}, study={"unit": "fraud cards", "replicates": 20})
    assert study.replicated("score", "ssl", 10).shape == (20,)
    assert "at 10 fraud cards: score" in str(compare(study, "score", "ssl", "simple", 10))
    assert "with 10 fraud cards" in str(labels_saved(study, "score", "ssl", 10))
    assert "306 fraud cards saved" in str(labels_saved(study, "score", "ssl", 10))
    with pytest.raises(ValueError, match="no run of 'typo' at 10 fraud cards"):
        study.interval("score", "typo", 10)


def test_the_verdict_turns_round_with_the_methods():
    curves = {"a": ("ssl", {10: 0.82}), "b": ("classical", {10: 0.8})}
    study = study_of(curves, lambda draw, seed: 0.01 * draw**2)
    there, back = compare(study, "score", "a", "b", 10), compare(study, "score", "b", "a", 10)
    assert (back.difference, back.low, back.high) == pytest.approx((-there.difference, -there.high, -there.low))
    assert (there.outcome, back.outcome) == ("gain", "loss")


@pytest.mark.parametrize(
    ("low", "high", "worth", "outcome"),
    [
        (0.01, 0.02, 0.0, "gain"),
        (-0.02, -0.01, 0.0, "loss"),
        (-0.01, 0.02, 0.0, "undecided"),
        (0.0, 0.02, 0.0, "undecided"),
        (-0.02, 0.0, 0.0, "undecided"),
        (0.01, 0.03, 0.02, "gain"),
        (0.001, 0.019, 0.02, "no gain worth having"),
        (-0.01, 0.019, 0.02, "no gain worth having"),
        (-0.01, 0.02, 0.02, "undecided"),
        (-0.03, -0.01, 0.02, "loss"),
    ],
)
def test_outcome_follows_from_the_interval_and_what_is_worth_having(low, high, worth, outcome):
    verdict = Verdict("auc", "simclr", "pixels", 47, (low + high) / 2, low, high, 0.1, 0.0, 0.2, n=5, worth=worth,
                      needed="more of it")  # fmt: skip
    assert verdict.outcome == outcome and outcome in OUTCOMES
    for part in ("simclr", "pixels", "47 labels", "auc", f"{low:+.3f}", f"{high:+.3f}", outcome):
        assert part in str(verdict)
    assert ("more of it" in str(verdict)) == (outcome == "undecided"), "what is settled needs no more"
    too_few = replace(verdict, enough=False)
    assert too_few.outcome == "too few runs" and str(too_few).endswith("too few runs (more of it)")


def wide(gain: float, noise: float, worth: float = 0.0, **study) -> Verdict:
    """A verdict on methods that differ by so much, with noise between draws and between seeds."""
    curves = {"a": ("ssl", {10: 0.5 + gain}), "b": ("classical", {10: 0.5})}
    return compare(study_of(curves, lambda draw, seed: noise * (seed - 1) * (draw - 1), study), "score", "a", "b", 10,
                   worth)  # fmt: skip


def test_an_open_verdict_says_what_would_decide_it():
    assert wide(0.01, 0.05).outcome == "undecided"
    said = r"undecided \(about (\d+) draws, and \d+\.\d times as many seeds, would decide it\)$"
    assert re.search(said, str(wide(0.01, 0.05)))
    draws = [int(re.search(r"about (\d+) draws", wide(gain, 0.05).needed)[1]) for gain in (0.02, 0.01, 0.005)]
    assert 5 < draws[0] < draws[1] < draws[2], "the smaller the difference, the more it takes"
    assert "a verdict takes 5 draws and 3 seeds of whatever is random" in str(wide(0.1, 0.05, draws=4))
    assert str(wide(0.1, 0.001)).endswith(": gain")


def test_where_there_is_one_way_to_draw_more_seeds_are_asked_for_and_not_draws():
    def of_seeds(n: int) -> Verdict:
        curves = {"a": ("ssl", {1000: 0.51}), "b": ("classical", {1000: 0.5})}
        seeds = {"a": {"seeds": tuple(range(n))}}
        return compare(study_of(curves, lambda draw, seed: 0.05 * (seed - 1), **seeds), "score", "a", "b", 1000)

    assert re.search(r"undecided \(about \d+\.\d times as many seeds would decide it\)$", str(of_seeds(3)))
    assert str(of_seeds(2)).endswith("too few runs (a verdict takes 3 seeds of whatever is random)")


def test_a_difference_of_rounding_is_no_verdict():
    curves = {"a": ("ssl", {10: 1 / 3}), "b": ("classical", {10: 1 / 3 + 6e-17})}
    assert compare(study_of(curves), "score", "a", "b", 10).outcome == "undecided"


def test_labels_saved_by_too_few_runs_say_so():
    curves = {**CURVE, "ssl": ("ssl", {10: 0.85})}
    few, enough = (labels_saved(study_of(curves, study={"draws": n}), "score", "ssl", 10) for n in (1, 5))
    assert not few.enough and str(few).endswith(", too few runs")
    assert enough.enough and "too few" not in str(enough)


def test_a_rival_that_does_not_always_report_its_cross_validated_score_is_refused():
    second = {"second": ("classical", {10: 0.6, 100: 0.7, 1000: 0.8})}
    study = study_of({**CURVE, **second, "ssl": ("ssl", {10: 0.85})})
    study.frame.loc[study.frame.index[0], "cv_score"] = np.nan
    with pytest.raises(ValueError, match="simple reports no score by cross-validation"):
        study.best_other("score", 10)
    with pytest.raises(ValueError, match="no method without self-supervision ran at 10 labels"):
        study.best_other("score", 10, among=[])


def test_a_lone_rival_needs_no_cross_validated_score():
    study = study_of({**CURVE, "ssl": ("ssl", {10: 0.85})})
    expected = labels_saved(study, "score", "ssl", 10)
    study.frame["cv_score"] = np.nan
    assert study.best_other("score", 10, among=["simple"]) == "simple"
    found = labels_saved(study, "score", "ssl", 10, among=["simple"])
    assert (found.versus, found.saved) == ("simple", pytest.approx(expected.saved))
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))


def test_a_verdict_that_test_cases_leave_open_asks_for_test_cases():
    rng = np.random.default_rng(0)
    values = {"a": rng.normal(0.5, 0.3, 120), "b": rng.normal(0.5, 0.3, 120)}

    def fit_as(name: str):
        return lambda index, seed: Prediction(values[name] - values[name].mean() + 0.02 * (name == "a"), TEST_LABELS)

    methods = [Method(name, "classical", fit_as(name)) for name in "ab"]
    metrics = {"mean": Metric(per_case=lambda said: said.scores)}
    groups = np.arange(120) // 2
    for grouped, words in ((None, "test cases would decide it, there are 120"), (groups, "groups of test cases")):
        study = label_budget_study(methods, LABELS, TEST_LABELS, [10], metrics=metrics, groups=grouped)
        verdict = compare(study, "mean", "a", "b", 10)
        assert verdict.outcome == "undecided" and words in verdict.needed
        half = student.ppf(0.975, 119) * np.sqrt((values["a"] - values["b"]).var(ddof=1) / 120)
        if grouped is None:
            assert verdict.high - verdict.difference == pytest.approx(half)
            assert int(re.search(r"about ([\d,]+)", verdict.needed)[1].replace(",", "")) > 120 * (half / 0.02) ** 2


def test_a_worth_that_was_declared_turns_small_gains_into_none_worth_having():
    assert wide(0.01, 0.001).outcome == "gain"
    assert wide(0.01, 0.001, worth=0.05).outcome == "no gain worth having"
    assert wide(0.04, 0.05, worth=0.05).outcome == "undecided"


def test_asking_for_what_did_not_run():
    study = study_of(TWO_BUDGETS)
    with pytest.raises(ValueError, match="no run of 'late' at 10 labels; it has"):
        compare(study, "score", "late", "simple", 10)
    with pytest.raises(ValueError, match="no run of 'typo'"):
        study.interval("score", "typo", 10)


# --------------------------------------------------------------------------------------- where lower is better


MIRRORED = {
    "trivial": ("trivial", {10: 0.5, 100: 0.5}),
    "simple": ("classical", {10: 0.8, 100: 0.82}),
    "network": ("supervised", {10: 0.7, 100: 0.9}),
    "pretrained": ("ssl", {10: 0.86, 100: 0.93}),
}


@lru_cache
def score_and_error() -> tuple[Study, Study]:
    """A study of scores, and the same study of errors, which are 1 - score."""

    def wobble(draw: int, seed: int) -> float:
        return 0.004 * draw + 0.003 * seed

    seeds = {"pretrained": {"seeds": (0, 1, 2)}, "network": {"seeds": (0, 1, 2, 3)}}
    errors = {name: (family, {b: 1 - s for b, s in curve.items()}) for name, (family, curve) in MIRRORED.items()}
    lower = {"metrics": {"score": Metric(stated_score, higher_is_better=False, perfect=0.0)}}
    return (
        study_of(MIRRORED, wobble, **seeds),
        study_of(errors, lambda draw, seed: -wobble(draw, seed), lower, **seeds),
    )


def test_the_best_other_method_is_that_of_the_least_error():
    scores, errors = score_and_error()
    for budget, best in ((10, "simple"), (100, "network")):
        assert scores.best_other("score", budget) == errors.best_other("score", budget) == best


@pytest.mark.parametrize("budget", [10, 100])
@pytest.mark.parametrize("pair", list(permutations(MIRRORED, 2)), ids="-".join)
def test_verdicts_on_errors_are_those_on_scores_in_a_mirror(pair, budget):
    there, mirrored = (compare(study, "score", *pair, budget) for study in score_and_error())
    assert (mirrored.outcome, mirrored.needed) == (there.outcome, there.needed)
    assert (mirrored.difference, mirrored.low, mirrored.high) == pytest.approx(
        (-there.difference, -there.high, -there.low)
    )
    for part in ("error_reduction", "error_reduction_low", "error_reduction_high"):
        assert getattr(mirrored, part) == pytest.approx(getattr(there, part))
    assert not mirrored.higher_is_better and there.higher_is_better


def test_a_smaller_error_is_better_and_reduces_errors():
    verdict = compare(score_and_error()[1], "score", "pretrained", "simple", 10)
    assert verdict.outcome == "gain" and verdict.high < 0 < verdict.error_reduction_low
    assert ": score -0.0" in str(verdict) and "errors reduced by " in str(verdict) and str(verdict).endswith(": gain")


@pytest.mark.parametrize("method", ["pretrained", "trivial"])
@pytest.mark.parametrize("budget", [10, 100])
def test_labels_saved_by_errors_are_those_saved_by_scores(method, budget):
    there, mirrored = (labels_saved(study, "score", method, budget) for study in score_and_error())
    for part in ("equivalent_budget", "saved", "low", "high"):
        assert getattr(mirrored, part) == pytest.approx(getattr(there, part))
    assert (mirrored.versus, mirrored.budgets) == (there.versus, there.budgets)


def test_the_mirror_shows_something():
    saved = [[labels_saved(score_and_error()[1], "score", m, b) for b in (10, 100)] for m in ("pretrained", "trivial")]
    assert 10 < saved[0][0].saved < 90 and saved[0][1].saved == np.inf and saved[1][0].saved == -np.inf


@pytest.mark.parametrize(("low", "high", "worth", "outcome"), [
    (0.01, 0.02, 0.0, "loss"), (-0.02, -0.01, 0.0, "gain"), (-0.01, 0.02, 0.0, "undecided"),
    (0.0, 0.02, 0.0, "undecided"), (-0.02, 0.0, 0.0, "undecided"),
    (-0.019, -0.001, 0.02, "no gain worth having"), (-0.03, -0.01, 0.02, "gain"), (-0.02, 0.01, 0.02, "undecided"),
])  # fmt: skip
def test_outcome_on_a_loss_follows_from_the_interval(low, high, worth, outcome):
    verdict = Verdict("loss", "simclr", "pixels", 47, (low + high) / 2, low, high, 0.1, 0.0, 0.2, 5,
                      higher_is_better=False, worth=worth)  # fmt: skip
    assert verdict.outcome == outcome and str(verdict).endswith(outcome)


# ------------------------------------------------------------------------------- verdicts on simulated scores


def simulated_study(
    signals: dict[str, float], seed: int, n_test: int = 150, draws: int = 5, draw_sd: float = 0.3, repeat: int = 1
) -> Study:
    """Methods whose test scores are ``signal x label + noise`` of variance 1; the signal varies with the draw.

    Of the noise, 40 % belongs to the test case and is the same for all methods, 40 % to the case as this method sees
    it, 20 % to the run. ``repeat`` shows every test case so many times (as xrays of one patient).
    """
    rng = np.random.default_rng(seed)
    labels = np.arange(n_test) % 2
    case, draw_effect = rng.normal(size=n_test), rng.normal(size=draws)

    def method(name: str, signal: float) -> Method:
        view = np.random.default_rng([seed, *name.encode()]).normal(size=n_test)

        def fit(index: np.ndarray, run_seed: int) -> Prediction:
            draw = number_of_draw(index)
            own = np.random.default_rng([seed, draw, run_seed, *name.encode()]).normal(size=n_test)
            noise = np.sqrt(0.4) * case + np.sqrt(0.4) * view + np.sqrt(0.2) * own
            scores = np.repeat((signal + draw_sd * draw_effect[draw]) * labels + noise, repeat)
            p = norm.cdf(scores)
            return Prediction(np.stack([1 - p, p], axis=1), (scores > signal / 2).astype(int))

        if name.startswith("ssl"):
            return Method(name, "ssl", fit, (0, 1, 2), setup_seconds=1.0)
        return Method(name, "classical", fit)

    groups = np.repeat(np.arange(n_test), repeat) if repeat > 1 else None
    methods = [method(name, signal) for name, signal in signals.items()]
    study = label_budget_study(methods, LABELS, np.repeat(labels, repeat), [10], draws=draws, groups=groups)
    study.replicates = 300
    return study


def true_auc(signal: float, draw_sd: float = 0.3) -> float:
    """Expected AUC of ``simulated_study``: Phi(strength / sqrt(2)), averaged over the strengths of the draws."""
    return float(np.mean(norm.cdf((signal + draw_sd * norm.ppf((np.arange(999) + 0.5) / 999)) / np.sqrt(2))))


def test_a_clear_difference_is_found_both_ways():
    study = simulated_study({"ssl": 2.2, "classical": 1.2}, seed=0)
    assert compare(study, "auc", "ssl", "classical", 10).outcome == "gain"
    assert compare(study, "auc", "classical", "ssl", 10).outcome == "loss"
    assert compare(study, "balanced_accuracy", "ssl", "classical", 10).outcome == "gain"


def test_equal_methods_show_no_difference():
    study = simulated_study({"ssl": 1.5, "classical": 1.5}, seed=0)
    verdict = compare(study, "auc", "ssl", "classical", 10)
    assert verdict.outcome == "undecided"
    assert verdict.low < 0 < verdict.high


def test_a_method_does_not_differ_from_itself():
    study = simulated_study({"ssl": 1.5}, seed=0)
    verdict = compare(study, "auc", "ssl", "ssl", 10)
    assert (verdict.difference, verdict.low, verdict.high, verdict.error_reduction) == (0, 0, 0, 0)
    assert verdict.outcome == "undecided" and verdict.needed == ""


def test_pairing_finds_what_two_separate_intervals_would_miss():
    study = simulated_study({"ssl": 2.0, "classical": 1.5}, seed=1, draw_sd=0.8)
    first, second = study.interval("auc", "ssl", 10), study.interval("auc", "classical", 10)
    assert second[2] > first[1], "the intervals overlap"
    assert compare(study, "auc", "ssl", "classical", 10).outcome == "gain"


def test_the_interval_covers_the_truth_about_as_often_as_it_says():
    """95 % are promised; five draws and 60 repetitions allow 85 to 100 %. Many more are in ``test_intervals``."""
    truth = true_auc(1.8) - true_auc(1.5)
    verdicts = [
        compare(simulated_study({"new": 1.8, "classical": 1.5}, seed), "auc", "new", "classical", 10)
        for seed in range(60)
    ]
    covered = np.mean([v.low <= truth <= v.high for v in verdicts])
    differences = np.array([v.difference for v in verdicts])
    half_width = np.mean([v.high - v.low for v in verdicts]) / 2
    assert differences.mean() == pytest.approx(truth, abs=3 * differences.std() / np.sqrt(60))
    assert 0.85 <= covered
    assert 1.5 < half_width / differences.std() < 3, "neither too narrow nor uselessly wide"


def test_films_of_one_patient_do_not_count_as_independent_cases():
    alone = simulated_study({"ssl": 1.5}, seed=1, repeat=1)
    grouped = simulated_study({"ssl": 1.5}, seed=1, repeat=4)
    blind = simulated_study({"ssl": 1.5}, seed=1, repeat=4)
    blind.groups = None
    widths = [np.ptp(s.interval("auc", "ssl", 10)[1:]) for s in (alone, grouped, blind)]
    assert widths[1] == pytest.approx(widths[0], rel=0.05)
    assert widths[2] < 0.8 * widths[0]


# ----------------------------------------------------------------------------------------------- labels saved


def saved_by(score: float, others: dict = CURVE, budget: int = 10, wobble=lambda draw, seed: 0.0):
    return labels_saved(study_of({**others, "ssl": ("ssl", {budget: score})}, wobble), "score", "ssl", budget)


def test_labels_saved_are_read_off_the_curve_on_a_logarithmic_scale():
    result = saved_by(0.85)
    assert result.equivalent_budget == pytest.approx(10**2.5, rel=1e-6)
    assert (result.saved, result.low, result.high) == pytest.approx((10**2.5 - 10,) * 3, rel=1e-6)
    assert result.versus == "simple" and result.budgets == (10, 1000)
    assert str(result) == "ssl with 10 labels against the curve of simple: about 306 labels saved [306, 306]"


def test_a_score_that_a_budget_reaches_exactly_costs_that_budget():
    assert saved_by(0.8).equivalent_budget == pytest.approx(100, rel=1e-6)
    assert saved_by(0.9).equivalent_budget == pytest.approx(1000, rel=1e-6)
    assert np.isfinite(saved_by(0.9).saved)


def test_a_score_that_no_budget_reaches_saves_more_than_the_whole_curve():
    result = saved_by(0.95)
    assert (result.equivalent_budget, result.saved, result.low, result.high) == (np.inf,) * 4
    assert str(result).endswith(": more than 990 labels saved [more than 990, more than 990]")
    assert result.clipped(result.low) == 990


def test_a_method_behind_the_others_saves_nothing():
    assert saved_by(0.75, budget=100).saved == pytest.approx(10**1.5 - 100, rel=1e-6)
    assert saved_by(0.7 + 1e-9).saved == pytest.approx(0, abs=1e-6), "the least budget reaches it"


def test_a_score_below_the_whole_curve_bounds_the_labels_from_above():
    result = saved_by(0.6, budget=100)
    assert (result.equivalent_budget, result.saved, result.low, result.high) == (-np.inf,) * 4
    assert str(result).endswith(": fewer than -90 labels saved [fewer than -90, fewer than -90]")
    assert result.clipped(result.low) == -90
    assert saved_by(0.6).bounded(-np.inf) == "fewer than 0"


def test_an_end_of_the_interval_beyond_the_curve_is_in_words_and_the_rest_in_numbers():
    result = LabelsSaved("auc", "simclr", "pixels", 47, 500.0, 453.0, -np.inf, np.inf, (10, 4708))
    assert str(result) == (
        "simclr with 47 labels against the curve of pixels: about 453 labels saved [fewer than -37, more than 4,661]"
    )
    assert [result.clipped(x) for x in (result.low, 453.0, result.high)] == [-37, 453, 4661]


def test_the_best_other_method_is_taken_anew_at_every_budget_and_the_one_reached_is_named():
    others = {
        "early": ("classical", {10: 0.7, 100: 0.75, 1000: 0.76}),
        "late": ("supervised", {10: 0.5, 100: 0.8, 1000: 0.9}),
    }
    high, low, below, beyond = (saved_by(score, others) for score in (0.85, 0.75, 0.6, 0.95))
    assert high.equivalent_budget == pytest.approx(10**2.5, rel=1e-6) and high.versus == "late"
    assert low.equivalent_budget == pytest.approx(10**1.5, rel=1e-6) and low.versus == "late"
    assert below.versus == "early" and "the curve of early: fewer than 0" in str(below)
    assert beyond.versus == "late"
    others["late"] = ("supervised", {10: 0.5, 100: 0.72, 1000: 0.9})
    assert saved_by(0.72, others).versus == "early" and saved_by(0.8, others).versus == "late"


def test_the_curve_is_of_rivals_chosen_by_cross_validation():
    flattered = {
        "simple": ("classical", {10: 0.7, 100: 0.8, 1000: 0.9}),
        "lucky": ("classical", {10: 0.9, 100: 0.95, 1000: 0.99}, {10: 0.5, 100: 0.6, 1000: 0.7}),
    }
    result = saved_by(0.85, flattered)
    assert result.equivalent_budget == pytest.approx(10**2.5, rel=1e-6) and result.versus == "simple"


def test_another_self_supervised_method_is_no_rival():
    others = {**CURVE, "other_ssl": ("ssl", {10: 0.9, 100: 0.95, 1000: 0.99})}
    assert saved_by(0.85, others).equivalent_budget == pytest.approx(10**2.5, rel=1e-6)


def test_a_curve_that_falls_again_has_reached_the_score_before():
    others = {"simple": ("classical", {10: 0.7, 100: 0.9, 1000: 0.8})}
    assert saved_by(0.85, others).equivalent_budget == pytest.approx(10**1.75, rel=1e-6)


def test_interval_of_labels_saved_follows_the_spread_of_the_scores():
    curves = {**CURVE, "ssl": ("ssl", {10: 0.8})}
    wobbling = study_of(
        curves, lambda draw, seed: 0.01 * seed, study={"replicates": 4000}, ssl={"seeds": tuple(range(12))}
    )
    result = labels_saved(wobbling, "score", "ssl", 10)
    # The seeds lie 0, .01 ... .11 above .8 and move their mean by a t of 11 degrees of freedom; on the curve a score of
    # .1 is a power of 10. The rival has one seed and does not move.
    half = student.ppf(0.975, 11) * 0.01 * np.std(range(12), ddof=1) / np.sqrt(12)
    middle = 2 + 0.55
    exponents = [np.log10(x + 10) for x in (result.low, result.saved, result.high)]
    assert exponents == pytest.approx([middle - 10 * half, middle, middle + 10 * half], abs=0.03)


def test_rivals_that_cross_validation_can_hardly_tell_apart_widen_the_interval():
    """At 100 labels one lies far above the other on the test; which of them is the rival is a matter of luck."""
    low, high = {10: 0.6, 100: 0.74, 1000: 0.95}, {10: 0.6, 100: 0.86, 1000: 0.95}
    even = {10: 0.6, 100: 0.8, 1000: 0.95}
    ssl = {"ssl": ("ssl", {10: 0.8})}

    def width(**rivals) -> float:
        def cv_wobble(draw: int, seed: int) -> float:
            return 0.01 * (draw - 2)

        result = labels_saved(study_of({**ssl, **rivals}, cv_wobble=cv_wobble), "score", "ssl", 10)
        return result.high - result.low

    alone = [width(low=("classical", low, even)), width(high=("classical", high, even))]
    both = width(low=("classical", low, even), high=("classical", high, even))
    told_apart = width(low=("classical", low, even), high=("classical", high, {b: s + 0.1 for b, s in even.items()}))
    assert both > max(alone) + 50
    assert told_apart == pytest.approx(alone[1], abs=1)


# ---------------------------------------------------------------------------------------- negative controls


def film_study(train_labels: np.ndarray, test_labels: np.ndarray, images: Images, budget: int) -> Study:
    train, test = standardise(pixels(images.train.images), pixels(images.test.images))
    methods = [
        probe_method("pixels_lr", "classical", [(train, test)], train_labels),
        Method("majority", "trivial", lambda index, seed: majority(train_labels[index], len(test_labels), 2)),
    ]
    return label_budget_study(methods, train_labels, test_labels, [budget], draws=5)


def test_shuffled_labels_give_chance():
    images, rng = simulate_pneumoniamnist(n_train=800, seed=0), np.random.default_rng(0)
    honest = film_study(images.train.labels, images.test.labels, images, 100)
    shuffled = film_study(rng.permutation(images.train.labels), rng.permutation(images.test.labels), images, 100)
    assert honest.interval("auc", "pixels_lr", 100)[0] > 0.7
    mean, low, high = shuffled.interval("auc", "pixels_lr", 100)
    assert mean == pytest.approx(0.5, abs=0.08)
    assert low < 0.5 < high
    assert compare(shuffled, "auc", "pixels_lr", "majority", 100).outcome == "undecided"
    assert compare(honest, "auc", "pixels_lr", "majority", 100).outcome == "gain"


def leaky(images: Images, n: int) -> Images:
    """The same data with the first n test xrays copied into training, a little darker."""
    copies = (images.test.images[:n] * 0.95).astype(np.uint8)
    both = np.concatenate([images.train.images, copies, images.test.images])
    labels = np.concatenate([images.train.labels, images.test.labels[:n], images.test.labels])
    split = ["train"] * (len(images.train) + n) + ["test"] * len(images.test)
    return Images.from_arrays(both, labels, split=split, classes=images.classes)


def test_a_leaked_split_is_caught():
    images = simulate_pneumoniamnist(n_train=160, seed=0)
    clean = duplicates(images)
    assert clean.empty or (clean["split_a"] == clean["split_b"]).all()
    found = duplicates(leaky(images, 12))
    across = found[found["split_a"] != found["split_b"]]
    assert set(across["index_b"][across["split_b"] == "test"]) == set(range(12))


def test_a_patient_in_two_splits_is_refused():
    images = np.random.default_rng(0).integers(0, 256, (40, 8, 8), dtype=np.uint8)
    labels, patients = np.arange(40) % 2, np.arange(40) // 2
    split = np.where(np.arange(40) < 21, "train", "test")  # patient 10 is cut in two
    with pytest.raises(DataError, match="[Gg]roup '10'"):
        Images.from_arrays(images, labels, groups=patients, split=split)
