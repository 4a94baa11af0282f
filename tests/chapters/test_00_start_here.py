"""What the start page claims."""

import math
import re

import numpy as np
import pytest

from sslbook import metrics, probes
from tests.chapters.claims import Chapter
from tests.house_rules import NOTEBOOKS, Notebook, output_text, source

METHODS = ("pixels_lr", "random_encoder", "supervised_aug", "simclr_probe")
FITTED = "probes.linear_probe({}, test, 10).decisions"
ANSWERS = [
    *((exercise, "solution", "Correct.") for exercise in ("exercise-score", "exercise-verdict", "exercise")),
    *((exercise, "", "Nothing returned yet.") for exercise in ("exercise-score", "exercise-verdict", "exercise")),
    ("exercise-score", "truth, read: metrics.balanced_accuracy(truth, read)", "Correct."),
    ("exercise-score", "truth, read: 1.0", "Not yet. A rare digit never read"),
    ("exercise-score", "truth, read: (truth == read).mean()", "Not yet. A rare digit never read"),
    ("exercise-score", "truth, read: truth == read", "Not yet."),
    ("exercise-verdict", "low, high, worth: 'undecided'", "Not yet."),
    ("exercise-verdict", "low, high, worth: 'loss' if high < 0 else 'gain' if low > 0 else 'undecided'", "Not yet."),
    ("exercise", "pool, known, drawn, test, truth: 1.0", "Not yet. Test labels in disorder"),
    (
        "exercise",
        f"pool, known, drawn, test, truth: metrics.balanced_accuracy(truth, {FITTED.format('pool, known')})",
        "Not yet. Wrong labels on the rows that were not drawn",
    ),
    (
        "exercise",
        f"pool, known, drawn, test, truth: (truth == {FITTED.format('pool[drawn], known[drawn]')}).mean()",
        "Not yet. A digit that is never read",
    ),
]


class TestStartHere(Chapter):
    FULL = {
        "digits": {
            # With all labels the supervised network needs no drawer of unlabelled digits.
            "balanced_accuracy_difference/simclr_probe_vs_best_other@1078.high": (-math.inf, 0.01),
        },
    }
    REAL = {"digits": {"seconds/chapter": (5, 600)}}
    RECORDED = {
        "digits": [f"balanced_accuracy/{method}@{budget}" for method in METHODS for budget in (20, 40, 100, 1078)]
        + [f"balanced_accuracy_difference/simclr_probe_vs_best_other@{budget}" for budget in (40, 1078)]
        + ["labels_saved/simclr_probe", "seconds/chapter"],
    }

    def test_the_table_of_chapters_is_complete(self):
        shown = output_text(next(c for c in Notebook.read(self.path).code if c["id"] == "chapters"))
        assert [path.stem for path in sorted(NOTEBOOKS.glob("*.ipynb")) if f"({path.name})" not in shown] == []

    @pytest.mark.parametrize("exercise, answer, said", ANSWERS)
    def test_checkers_take_right_answers_and_say_what_is_wrong_with_others(self, exercise, answer, said, capsys):
        cells = {c["id"]: source(c) for c in Notebook.read(self.path).cells}
        check = cells["exercise-score-check"].partition("\n\n\n")[0]
        page = {"np": np, "metrics": metrics, "probes": probes}
        exec(check, page)
        exec(cells[f"{exercise}-stub"], page)
        if answer == "solution":
            solution = cells["solution" if exercise == "exercise" else f"{exercise}-solution"]
            exec(re.search(r"```python\n(.*?)```", solution, re.S)[1], page)
        elif answer:
            name = re.search(r"def (\w+)\(", cells[f"{exercise}-stub"])[1]
            page[name] = eval(f"lambda {answer}", page)
        exec(cells[f"{exercise}-check"], page)
        assert capsys.readouterr().out.startswith(said)
