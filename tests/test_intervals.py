"""How often intervals and verdicts are wrong, where the truth is known: simulations through the real study.

In these studies a prediction holds many independent worlds at once, and every world is a metric of its own: the runs
are planned, kept and compared as in any other study, and one study gives hundreds of verdicts.
"""

from dataclasses import dataclass, field, replace
from functools import partial
from itertools import product

import numpy as np
import pytest
from scipy.stats import binomtest, chi2
from scipy.stats import t as student

from sslbook.intervals import spread
from sslbook.metrics import Metric
from sslbook.study import Method, Study, budget_study
from sslbook.verdict import compare, labels_saved
from tests.test_parallel import on

WORLDS = 400
FALSE = ("gain", "loss")


@pytest.fixture(autouse=True)
def one_process():
    """The runs of these tests are too short to be sent away."""
    with on(1):
        yield


@pytest.fixture(autouse=True)
def rows_are_looked_up_once(monkeypatch):
    """Most of the time of a verdict goes into pandas, which would find the same rows again for every world."""
    runs, grid = Study.runs, Study.grid

    def runs_once(self, method, budget):
        key = ("rows", method, budget)
        if key not in self._cache:
            self._cache[key] = runs(self, method, budget)
        return self._cache[key]

    def grid_of_rows(self, column, method, budget, draws=None):
        key = ("grid", method, budget, str(draws))
        if key not in self._cache:
            numbered = replace(self, frame=self.frame.assign(row=np.arange(len(self.frame))), _cache={})
            self._cache[key] = grid(numbered, "row", method, budget, draws)
        return self.frame[column].to_numpy()[self._cache[key]]

    monkeypatch.setattr(Study, "runs", runs_once)
    monkeypatch.setattr(Study, "grid", grid_of_rows)


def at_most(rate: float, n: int) -> float:
    """A rate that is at most this is found to be no larger than that in n repetitions; two standard errors."""
    return rate + 2 * np.sqrt(rate * (1 - rate) / n)


def at_least(rate: float, n: int) -> float:
    return rate - 2 * np.sqrt(rate * (1 - rate) / n)


# ------------------------------------------------------------------------------------------- variance components


def by_sums_of_squares(parts: list[np.ndarray]) -> tuple[float, float, float, float, float]:
    """Components of draws, seeds and residual, variance of the mean, degrees of freedom: in plain loops.

    Mean squares of the two-way table, and their expectations solved for the components: draws a, seeds b, rest ab.
    """
    n = len(parts[0])
    sums = [sum(part[i].mean() for part in parts) for i in range(n)]
    centre = sum(sums) / n
    of_draws = sum((s - centre) ** 2 for s in sums) / (n - 1) / n if n > 1 else 0.0
    doubts, extra, alone = [(of_draws, n - 1)], 0.0, 0.0
    between, residual, inside = 0.0, 0.0, 0.0
    for part in parts:
        m, mean = part.shape[1], part.mean()
        if m == 1:
            continue
        ss_seeds = ss_rest = 0.0
        for j in range(m):
            ss_seeds += n * (part[:, j].mean() - mean) ** 2
            for i in range(n):
                ss_rest += (part[i, j] - part[i].mean() - part[:, j].mean() + mean) ** 2
        ms_seeds = ss_seeds / (m - 1)
        ms_rest = ss_rest / ((n - 1) * (m - 1)) if n > 1 else 0.0
        between += max(ms_seeds - ms_rest, 0.0) / n
        residual += ms_rest
        inside += ms_rest / m
        extra += max(ms_seeds - ms_rest, 0.0) / (n * m)
        alone += ms_seeds / (n * m)
        doubts += [(ms_seeds / (n * m), m - 1), (ms_rest / (n * m), (n - 1) * (m - 1))]
    runs = max(of_draws + extra, alone)
    below = sum(value**2 / df for value, df in doubts if value > 0)
    df = max(1.0, runs**2 / below) if below else np.inf
    return max(n * of_draws - inside, 0.0), between, residual, runs, df


def a_table(rng: np.random.Generator, draws: int, seeds: int, sd: tuple[float, float, float]) -> np.ndarray:
    """Scores with effects of the draw, of the seed, and of both together."""
    of_draw, of_seed, rest = sd
    return (
        of_draw * rng.normal(size=(draws, 1))
        + of_seed * rng.normal(size=(1, seeds))
        + rest * rng.normal(size=(draws, seeds))
    )


SHAPES = [
    [(5, 3)], [(10, 5)], [(2, 2)], [(1, 4)], [(6, 1)], [(5, 3), (5, 4)], [(5, 3), (5, 1)], [(1, 3), (1, 5)],
    [(7, 1), (7, 1)],
]  # fmt: skip


@pytest.mark.parametrize("shapes", SHAPES, ids=str)
def test_the_components_are_those_of_a_second_writing(shapes):
    rng = np.random.default_rng(0)
    for sd in product((0.0, 1.0, 5.0), (0.0, 1.0, 5.0), (0.1, 1.0)):
        parts = [sign * a_table(rng, *shape, sd) for sign, shape in zip((1, -1), shapes, strict=False)]
        found = spread(parts)
        assert (found.draws, found.seeds, found.residual, found.runs, found.df) == pytest.approx(
            by_sums_of_squares(parts)
        )


@pytest.mark.parametrize("sd", [(1.0, 2.0, 0.5), (2.0, 0.5, 1.0), (0.0, 1.0, 1.0), (1.0, 0.0, 1.0)], ids=str)
def test_the_components_are_found_that_were_put_in(sd):
    rng = np.random.default_rng(1)
    tables = [a_table(rng, 8, 6, sd) for _ in range(2000)]
    found = [spread([table]) for table in tables]
    parts = np.array([(f.draws, f.seeds, f.residual) for f in found])
    error = parts.std(axis=0) / np.sqrt(len(parts))
    cut = np.array([0.12 * (sd[0] == 0), 0.12 * (sd[1] == 0), 0])  # a component below 0 counts as 0
    assert (np.abs(parts.mean(axis=0) - np.square(sd)) < 4 * error + cut).all()
    truth = sd[0] ** 2 / 8 + sd[1] ** 2 / 6 + sd[2] ** 2 / 48
    assert np.var([t.mean() for t in tables]) == pytest.approx(truth, rel=0.13)
    assert np.mean([f.runs for f in found]) == pytest.approx(truth, rel=0.13)
    assert np.mean([f.expected(8, 6) for f in found]) == pytest.approx(truth, rel=0.13)
    fewer = sd[0] ** 2 / 4 + sd[1] ** 2 / 2 + sd[2] ** 2 / 8
    assert np.mean([f.expected(4, 2) for f in found]) == pytest.approx(fewer, rel=0.13)


def test_of_one_draw_the_seeds_alone_speak():
    table = np.array([[1.0, 2.0, 4.0, 5.0]])
    found = spread([table])
    assert (found.draws, found.residual) == (0, 0)
    assert found.runs == pytest.approx(table.var(ddof=1) / 4) and found.df == pytest.approx(3)
    assert found.seeds == pytest.approx(table.var(ddof=1))
    assert found.half_width == pytest.approx(student.ppf(0.975, 3) * np.sqrt(table.var(ddof=1) / 4))


def test_of_one_seed_the_draws_alone_speak():
    table = np.array([[1.0], [2.0], [4.0], [7.0], [7.5]])
    found = spread([table])
    assert (found.seeds, found.residual) == (0, 0)
    assert found.runs == pytest.approx(table.var(ddof=1) / 5) and found.df == pytest.approx(4)
    assert found.draws == pytest.approx(table.var(ddof=1))
    assert found.half_width == pytest.approx(student.ppf(0.975, 4) * np.sqrt(table.var(ddof=1) / 5))


def test_one_run_or_constant_scores_have_no_spread_but_that_of_the_test_cases():
    for parts in ([np.ones((1, 1))], [np.full((5, 3), 0.7)], [np.full((5, 3), 0.7), np.full((5, 2), -0.1)]):
        assert spread(parts).half_width == pytest.approx(0, abs=1e-12)
        found = spread(parts, cases=0.04, units=25)
        assert found.half_width == pytest.approx(student.ppf(0.975, 24) * 0.2)


def test_draws_and_test_cases_have_a_quantile_each():
    rng = np.random.default_rng(2)
    parts = [a_table(rng, 5, 3, (1, 1, 1)), -a_table(rng, 5, 4, (1, 1, 1))]
    *_, runs, df = by_sums_of_squares(parts)
    square = student.ppf(0.975, df) ** 2 * runs + student.ppf(0.975, 24) ** 2 * 0.3
    assert spread(parts, 0.3, 25).half_width == pytest.approx(np.sqrt(square))
    many = spread(parts, 0.3)
    assert many.half_width == pytest.approx(np.sqrt(student.ppf(0.975, df) ** 2 * runs + 1.95996**2 * 0.3), rel=1e-5)


def test_what_a_seed_does_cancels_in_one_part_and_adds_up_in_two():
    of_seed = 0.1 * np.arange(4.0)
    a, b = np.tile(of_seed, (5, 1)), np.tile(of_seed, (5, 1)) - 0.3
    assert spread([a - b]).half_width == pytest.approx(0, abs=1e-12)
    apart = spread([a, -b])
    assert apart.runs == pytest.approx(2 * of_seed.var(ddof=1) / 4) and apart.df == pytest.approx(6)
    alone = spread([a])
    assert alone.seeds == pytest.approx(of_seed.var(ddof=1)) and alone.draws == pytest.approx(0, abs=1e-12)
    of_draw = 0.1 * np.arange(5.0)[:, None]
    assert spread([a + of_draw, -b - of_draw]).runs == pytest.approx(apart.runs), "draws are common to all parts"


def test_runs_are_never_less_sure_to_vary_than_their_seeds_alone():
    table = np.array([[1.0, 3.0], [3.0, 1.0], [1.0, 3.0], [3.0, 1.0]])  # all of it is residual
    found = spread([table])
    assert found.seeds == 0 and found.draws == 0 and found.residual > 0
    opposite = np.array([[2.0, -2.0], [2.0, -2.0]]) + np.array([[0.0], [1e-3]])
    assert spread([opposite]).runs >= opposite.mean(axis=0).var(ddof=1) / 2
    assert found.df >= 1


DESIGNS = [(5, 3), (5, 5), (10, 3), (10, 5), (1, 3), (1, 5)]


def missed(draws: int, seeds: int, paired: bool, n: int = 2000) -> float:
    """Share of intervals straight from ``spread`` that miss the difference of two methods, which is 0.

    Each method has effects of draws, seeds and both, and the test cases a variance that is itself an estimate.
    """
    rng = np.random.default_rng([draws, seeds, paired])
    outside = []
    for i in range(n):
        sd = [(1.0, 1.0, 1.0), (0.3, 2.0, 0.5), (2.0, 0.3, 1.0), (0.2, 0.2, 2.0)][i % 4]
        a, b = a_table(rng, draws, seeds, sd), a_table(rng, draws, seeds, sd)
        if draws == 1:  # the one way to draw is part of the question
            a, b = (x - x.mean() + rng.normal(0, np.hypot(*sd[1:]) / np.sqrt(seeds)) for x in (a, b))
        of_cases, units = 0.2, 25
        error = rng.normal(0, np.sqrt(of_cases))
        estimate = of_cases * chi2.rvs(units - 1, random_state=rng) / (units - 1)
        found = spread([a - b] if paired else [a, -b], estimate, units)
        outside.append(abs(a.mean() - b.mean() + error) > found.half_width)
    return float(np.mean(outside))


@pytest.mark.parametrize("paired", [True, False], ids=["paired", "apart"])
@pytest.mark.parametrize("design", DESIGNS, ids="{0[0]}x{0[1]}".format)
def test_intervals_of_differences_miss_in_one_case_of_twenty(design, paired):
    assert missed(*design, paired) <= at_most(0.05, 2000)


# ------------------------------------------------------------------------------------ verdicts through the study


@dataclass(frozen=True)
class Worlds:
    """What a run says in many independent worlds: values of the test cases, shape (worlds, n_test)."""

    values: np.ndarray
    cv_scores: dict[str, float] = field(default_factory=dict)


def mean_of(world: int, said: Worlds) -> np.ndarray:
    return said.values[world]


def auc_of(world: int, said: Worlds, weights: np.ndarray | None = None) -> np.ndarray:
    """Area under the ROC curve of a world whose first half of the cases is healthy; by all pairs, for few cases."""
    healthy, ill = np.split(said.values[world], 2)
    w = np.ones((1, 2 * len(ill))) if weights is None else weights
    of_healthy, of_ill = np.split(w, 2, axis=1)
    right = ((of_healthy @ (healthy[:, None] < ill)) * of_ill).sum(axis=1)
    with np.errstate(invalid="ignore"):
        return right / (of_healthy.sum(axis=1) * of_ill.sum(axis=1))


@dataclass(frozen=True)
class Player:
    """A method of the worlds: its true mean, its family, how many seeds, and whose they are."""

    name: str
    family: str = "ssl"
    seeds: int = 3
    encoder: str = ""
    truth: float = 0.0


# Standard deviations of what chance does to one run: in the draw (to all methods, to this one), in the seed (of the
# encoder, of this method), in both together, and in a test case (to all methods, to this one, to this run).
SD = {"draw": 0.03, "own_draw": 0.01, "encoder": 0.02, "seed": 0.01, "rest": 0.01, "case": 0.1, "own_case": 0.04,
      "run_case": 0.02}  # fmt: skip


def worlds_study(
    players: list[Player], draws: int, worlds: int = WORLDS, n_test: int = 40, auc: float = 0.0, base: float = -1.0,
    groups: np.ndarray | None = None, budgets: tuple[int, ...] = (10,), single: bool = False, seed: int = 0,
    curve: dict[str, dict[int, float]] | None = None, replicates: int = 200, sd: dict[str, float] = SD,
    shared_luck: bool = False,
) -> Study:  # fmt: skip
    """A study in many worlds, each a metric ``w0``, ``w1`` ...

    ``auc`` is how far ill and healthy cases lie apart, in noises of a case; 0 makes the metric a mean over cases.
    Scores by cross-validation are as good as those on the test, and owe nothing to it but the draw, which is the same
    for all methods; with ``shared_luck`` also what draw and seed do to this method.
    """
    rng = np.random.default_rng([seed, draws])
    size = 1 if single else draws
    units = n_test if groups is None else len(np.unique(groups))
    where = np.arange(n_test) if groups is None else np.unique(groups, return_inverse=True)[1]
    common_case = sd["case"] * rng.normal(size=(worlds, units))
    common_draw = {b: sd["draw"] * rng.normal(size=(size, worlds, 1)) for b in budgets}
    of_encoder = {
        p.encoder or p.name: sd["encoder"] * np.random.default_rng([seed, 1, i]).normal(size=(p.seeds, worlds, 1))
        for i, p in enumerate(players)
    }
    shift = auc * np.repeat([-0.5, 0.5], n_test // 2)

    def method(number: int, player: Player) -> Method:
        own = np.random.default_rng([seed, 2, number])
        own_case = sd["own_case"] * own.normal(size=(worlds, units))
        # Of one way to draw, what it does to a method is no chance: the question is about these very labels.
        own_draw = {b: (not single) * sd["own_draw"] * own.normal(size=(size, worlds, 1)) for b in budgets}
        random = player.family not in ("trivial", "classical")
        own_seed = random * sd["seed"] * own.normal(size=(player.seeds, worlds, 1))
        shared = random * of_encoder[player.encoder or player.name]

        def fit(index: np.ndarray, run_seed: int) -> Worlds:
            budget, draw = int(index[0]), int(index[1])
            noise = np.random.default_rng([seed, 3, number, budget, draw, run_seed])
            truth = player.truth if curve is None else curve[player.name][budget]
            run = truth + common_draw[budget][draw] + own_draw[budget][draw] + shared[run_seed] + own_seed[run_seed]
            rest = sd["rest"] * noise.normal(size=(2, worlds, 1))
            case = common_case + own_case + sd["run_case"] * noise.normal(size=(worlds, units))
            if auc:
                values = (1 + run + rest[0]) * shift + case[:, where] / np.sqrt(
                    sd["case"] ** 2 + sd["own_case"] ** 2 + sd["run_case"] ** 2
                )
            else:
                values = base + run + rest[0] + case[:, where]
            if not shared_luck:
                luck = sd["own_draw"] ** 2 + random * (sd["encoder"] ** 2 + sd["seed"] ** 2)
                run = truth + common_draw[budget][draw] + np.sqrt(luck) * noise.normal(size=(worlds, 1))
            cv = (base + run + rest[1])[:, 0]
            return Worlds(values.astype(np.float32), {f"w{i}": score for i, score in enumerate(cv.tolist())})

        cost = 1.0 if player.family == "ssl" else 0.0
        seeds = tuple(range(player.seeds))
        return Method(player.name, player.family, fit, seeds, player.encoder, setup_seconds=cost)

    def draw(budget: int, i: int) -> np.ndarray:
        return np.array([budget, 0 if single else i])

    made = (lambda i: Metric(partial(auc_of, i))) if auc else (lambda i: Metric(per_case=partial(mean_of, i)))
    metrics = {f"w{i}": made(i) for i in range(worlds)}
    methods = [method(i, player) for i, player in enumerate(players)]
    return budget_study(methods, metrics, n_test, budgets, draw, draws, groups=groups, replicates=replicates)


def two(seeds: int, paired: bool, truth: float = 0.0) -> list[Player]:
    encoder = "one network" if paired else ""
    return [Player("pretrained", "ssl", seeds, encoder, truth), Player("scratch", "supervised", seeds, encoder)]


def outcomes(study: Study, budget: int = 10) -> np.ndarray:
    """Of the first method against the second, in every world."""
    return np.array([compare(study, world, *study.methods()[:2], budget).outcome for world in study.metrics])


def false_verdicts(study: Study) -> float:
    """Share of the worlds in which one of two equal methods is said to be better."""
    return float(np.isin(outcomes(study), FALSE).mean())


UNEQUAL = np.repeat(np.arange(25), np.geomspace(1, 40, 25).astype(int))  # 25 groups, the largest a tenth of all cases
FAIR = {
    **{f"{d}x{s} {'paired' if p else 'apart'}": (d, s, p, {}) for d, s in ((5, 3), (5, 5), (10, 3), (10, 5))
       for p in (True, False)},
    "5x3 AUC apart": (5, 3, False, {"auc": 2.33}),
    "5x3 AUC paired": (5, 3, True, {"auc": 2.33}),
    "5x3 groups": (5, 3, True, {"groups": UNEQUAL, "n_test": len(UNEQUAL)}),
    "5x3 groups that matter most": (
        5, 3, True, {"groups": UNEQUAL, "n_test": len(UNEQUAL), "sd": SD | {"own_case": 0.2, "own_draw": 0.003}}
    ),
    "1x3 paired": (5, 3, True, {"single": True}),
    "1x5 apart": (5, 5, False, {"single": True}),
}  # fmt: skip


@pytest.mark.parametrize("design", FAIR)
def test_of_equal_methods_one_in_twenty_verdicts_is_false_at_most(design):
    draws, seeds, paired, settings = FAIR[design]
    study = worlds_study(two(seeds, paired), draws, **settings)
    assert (10 in study.single) == design.startswith("1x")
    if "auc" in settings:
        assert study.frame[list(study.metrics)].to_numpy().mean() == pytest.approx(0.95, abs=0.02)
    assert false_verdicts(study) <= at_most(0.05, WORLDS)


@pytest.mark.parametrize(("draws", "seeds"), [(3, 2), (2, 3), (4, 5), (5, 1), (10, 2)])
def test_designs_of_too_few_runs_never_give_a_verdict(draws, seeds):
    study = worlds_study(two(seeds, paired=False, truth=1.0), draws, worlds=20)
    assert (outcomes(study) == "too few runs").all(), "however large the difference"


@pytest.mark.parametrize(("draws", "seeds", "paired"), [(5, 3, True), (10, 5, False)])
def test_intervals_cover_a_difference_that_is_there(draws, seeds, paired):
    truth = 0.05
    study = worlds_study(two(seeds, paired, truth), draws, seed=1)
    verdicts = [compare(study, world, *study.methods(), 10) for world in study.metrics]
    assert np.mean([v.low <= truth <= v.high for v in verdicts]) >= at_least(0.93, WORLDS)
    said = np.array([v.outcome for v in verdicts])
    assert "loss" not in said and (said == "gain").mean() > (0.6 if draws == 10 else 0.3), "and find it often"


def by_percentiles(study: Study, draws: int, seeds: int, replicates: int = 300) -> np.ndarray:
    """The interval of the difference that the book had before: draws, seeds and test cases resampled; (worlds, 2)."""
    shape = 2, draws, seeds, len(study.metrics), study.n_test
    values = np.array([said.values for said in study.predictions]).reshape(shape)
    rng = np.random.default_rng(0)
    cases = rng.multinomial(study.n_test, np.full(study.n_test, 1 / study.n_test), replicates) / study.n_test
    of_draw = rng.multinomial(draws, np.full(draws, 1 / draws), replicates) / draws
    means = []
    for method in values:
        of_seed = rng.multinomial(seeds, np.full(seeds, 1 / seeds), replicates) / seeds
        in_cases = np.einsum("dswn,rn->rwds", method, cases, optimize=True)
        means.append(np.einsum("rwds,rd,rs->rw", in_cases, of_draw, of_seed, optimize=True))
    return np.percentile(means[0] - means[1], [2.5, 97.5], axis=0).T


@pytest.mark.parametrize(("draws", "seeds"), [(3, 2), (5, 3)])
def test_percentiles_of_a_bootstrap_over_draws_and_seeds_would_be_false_too_often(draws, seeds):
    study = worlds_study(two(seeds, paired=False), draws, seed=2)
    low, high = by_percentiles(study, draws, seeds).T
    assert ((low > 0) | (high < 0)).mean() > at_most(0.05, WORLDS)
    study.enough = lambda *_: True  # were verdicts of so few runs allowed
    assert false_verdicts(study) <= at_most(0.05, WORLDS)


# ------------------------------------------------------------------------------------------- choosing the rival

RIVALS = [
    Player("new", "ssl"), Player("trees", "classical", 1), Player("lines", "classical", 1),
    Player("scratch", "supervised"), Player("deep", "supervised", 5), Player("random", "untrained"),
]  # fmt: skip


def test_choosing_the_rival_by_cross_validation_does_no_wrong_and_by_the_test_it_does():
    mostly_cases = SD | {"own_case": 0.2, "own_draw": 0.005, "encoder": 0.005, "seed": 0.005}
    study = worlds_study(RIVALS, 5, 300, seed=3, sd=mostly_cases)
    rivals = study.methods()[1:]
    means = study.frame.groupby("method")[list(study.metrics)].mean()
    best_of_test = means.loc[rivals].idxmax()
    fair = [compare(study, w, "new", study.best_other(w, 10), 10).outcome for w in study.metrics]
    unfair = [compare(study, w, "new", best_of_test[w], 10).outcome for w in study.metrics]
    assert np.isin(fair, FALSE).mean() <= at_most(0.05, 300)
    assert np.mean(np.array(unfair) == "loss") > np.mean(np.array(fair) == "loss") + 0.03
    assert np.mean(np.array(unfair) == "gain") < 0.01


def test_of_equal_rivals_none_is_preferred_whatever_its_name_seeds_encoder_and_place():
    players = [Player("a", "supervised", 3, "z"), Player("zz", "supervised", 5), Player("ssl", "ssl")]
    for i, order in enumerate((players, players[::-1])):
        study = worlds_study(order, 5, worlds=300, seed=4 + i)
        chosen = [study.best_other(world, 10) for world in study.metrics]
        assert set(chosen) == {"a", "zz"}
        assert binomtest(chosen.count("a"), len(chosen)).pvalue > 0.001


def test_of_equal_methods_neither_is_favoured_by_the_verdict():
    study = worlds_study([Player("zz", "ssl", 3, "z"), Player("a", "supervised", 5)], 5, worlds=200, seed=6)
    verdicts = [compare(study, world, "zz", "a", 10) for world in study.metrics]
    assert binomtest(sum(v.difference > 0 for v in verdicts), len(verdicts)).pvalue > 0.001
    back = [compare(study, world, "a", "zz", 10) for world in study.metrics]
    assert [v.low for v in verdicts] == pytest.approx([-v.high for v in back])
    assert sum(v.outcome == "gain" for v in verdicts) == sum(v.outcome == "loss" for v in back)


# ------------------------------------------------------------------------------------------------- labels saved


def test_intervals_of_labels_saved_cover_the_labels_that_are_saved():
    worlds = 150
    curve = {
        "new": {10: 0.85, 100: 0.9, 1000: 0.95},
        "rival": {10: 0.7, 100: 0.8, 1000: 0.9},
        "behind": {10: 0.5, 100: 0.6, 1000: 0.7},
    }
    players = [Player("new", "ssl"), Player("rival", "supervised"), Player("behind", "classical", 1)]
    study = worlds_study(players, 5, worlds, base=0.0, budgets=(10, 100, 1000), seed=7, curve=curve)
    truth = 10**2.5 - 10
    saved = [labels_saved(study, world, "new", 10) for world in study.metrics]
    assert {s.versus for s in saved} == {"rival"}
    assert np.mean([s.low <= truth <= s.high for s in saved]) >= 0.9
    assert np.mean([s.low > 0 for s in saved]) > 0.5, "and are not so wide that they say nothing"
    assert np.median([s.saved for s in saved]) == pytest.approx(truth, rel=0.2)
