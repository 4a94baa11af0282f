CELLS = []


def md(cid, text):
    CELLS.append((cid, "markdown", text.strip("\n") + "\n", ()))


def code(cid, text, *tags):
    CELLS.append((cid, "code", text.strip("\n") + "\n", tags))


md("title", """
# Medical imaging with few labels: own pretraining, borrowed weights, or more labels?

A hospital keeps every picture it ever took. What is *on* a picture was read once, by someone in a hurry; a label that one
can train on takes two physicians and an arbiter. The archive is free, labels are not. **Can the unlabelled archive replace
some of the labels?** We ask it twice: for chest X-rays of children (which to read first?) and for brain MRI (does this slice
show a tumour?). And we ask what a colleague would ask: why not take a network that somebody else has trained?

After this chapter you can

1. **pretrain** an encoder on pictures without a label, and **tell** a collapsed training from a working one,
2. **compare** own pretraining with a borrowed network and with rivals that are at their best,
3. **split** by patient, and say what it costs not to,
4. **decide** from intervals, calibration and cost whether self-supervised learning (SSL) pays,
5. **run** the same study on a folder of your own pictures.

*You need* `00_start_here` and logistic regression. The pictures are small, so that two processor cores are enough.

| | 2 CPU cores | Colab with a T4 |
|---|---|---|
| whole chapter | about 4 minutes | not measured |
| of this, pretraining (step 5) | about 2 minutes | not measured |
""")

code("setup", '''
try:
    import sslbook
except ModuleNotFoundError as missing:
    raise SystemExit(
        f"{missing.name} is not installed. Follow 'The two commands' in README.md, "
        "or on Colab 'Run it on Colab', then run this cell again."
    ) from None
import inspect
import time
from dataclasses import replace
from functools import partial

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from IPython.display import Code, display

from sslbook import (
    augment,
    baselines,
    data,
    draws,
    encoders,
    evidence,
    finetune,
    metrics,
    parallel,
    plots,
    pretext,
    probes,
    report,
    study,
    train,
    verdict,
    widgets,
)
from sslbook.domains import imaging
from sslbook.encoders import pretrained

chapter_start = time.perf_counter()
plots.use_style()
store = parallel.Store()  # finished runs are kept: a second Run All is quick; store.empty() forgets them
print(f"sslbook {sslbook.__version__}, torch {torch.__version__}, {torch.get_num_threads()} CPU threads")
''')

md("answer-heading", """
**The answer first.** The *full study* is this chapter with more draws of labels, more seeds and more methods; it takes hours.
What it found is kept with the book and printed here. Your own run below is shorter, and how far it may lie from the full
study is computed and tested.
""")
code("answer", '''
asked = ["mri_auc_difference/best_pretrained_vs_best_other@8", "mri_auc_difference/simclr_finetuned_vs_same_network@8"]
asked += ["auc_difference/simclr_finetuned_vs_same_network@47"]
print(evidence.answer("10_medical_imaging.ipynb", asked))
''')

md("answer-read", """
*Gain*: the whole interval lies above zero. *Loss*: below. *No gain worth having*: below `WORTH`. *Undecided*: even so many runs
cannot tell. *Random start* is the same network, trained on the same labels for the same time, without pretraining.
""")

code("parameters", '''
DATASET = "pneumoniamnist"
SCANS = "lgg_mri"
SOURCE = "auto"
OWN_DATA = ""
SEED = 0
EPOCHS = 40
SCAN_EPOCHS = 20
MOST_STEPS = 240
SCAN_STEPS = 240
DRAWS = 5
PRETRAINING_SEEDS = 1
NETWORK_DRAWS = 3
EVERYTHING = False
FEW = 47
FEW_PATIENTS = 8
COST_PER_LABEL = 6.0
WORTH = 0.01
''', "parameters")

md("step1", """
## 1 Define the objective

**The decisions.** Which X-rays does a physician read first? Which slices of a scan show a tumour? A program gives each picture
a score, and what lies above a threshold goes to the top of the list.

**The scarce label.** "Pneumonia" or "normal", agreed on by experts; `COST_PER_LABEL` is our guess in euros for three short looks.
For the scans the unit is the **patient**: an expert goes through all slices of a head at once.

**The metrics.** *Sensitivity* is the share of the sick that we find, *specificity* the share of the healthy that we leave in
peace. Their mean, the **balanced accuracy**, needs a threshold. The **AUC** needs none: it is the probability that a random sick
picture gets a higher score than a random healthy one.

**What decides** is declared before anything runs: the AUC of slices with `FEW_PATIENTS` labelled patients, the best method
with own pretraining against the best without any pretraining, each chosen by cross-validation inside the drawn labels. A
difference below `WORTH` would change nothing in the hospital.
""")

md("step2", """
## 2 Select a pretext task

A pretext task asks a question whose answer comes free with the data.

- **SimCLR**: *which two views show the same picture?* The network must keep what all views of a picture share and may drop
  what the views vary. It fits if the views vary the nuisance (position, exposure) and keep the disease.
- **Neighbouring slices**: the same question, but the two views are taken of two slices of one patient, one above the other in the
  head. What changes from slice to slice may be dropped as well.
- **Rotation**: *by how many quarter turns was the picture rotated?*

**Predict:** what does a network need to look at to see that a chest is upside down? And what can it then say about the lungs?
""")

md("step3", """
## 3 Prepare the data

**X-rays.** PneumoniaMNIST, a small version of a published collection. If the file is not in the cache it is downloaded and
verified; without a network a simulated stand-in serves, and every figure says so.
""")

code("load", '''
xrays = data.load(DATASET, SOURCE)
assert xrays.train.images.dtype == np.uint8 and len(xrays.classes) == 2
xrays
''')

md("load-read", """
Read the known problems before any result. Two of them will matter: there is no patient number, so nobody can promise that one
child is not in two splits; and the test X-rays come from another mixture of children than the rest.
""")

code("look", '''
rng = np.random.default_rng(SEED)
some = np.concatenate([rng.choice(np.flatnonzero(xrays.train.labels == c), 8, replace=False) for c in (0, 1)])
plots.image_grid(
    xrays.train.images[some],
    [xrays.classes[c] for c in xrays.train.labels[some]],
    title=plots.title("Eight X-rays of each class", xrays.source),
    size=1.0,
);
''')

md("look-read", """
The upper row is normal, the lower row shows pneumonia: white haze where there should be dark, air-filled lung. At this size a
human guesses well, not perfectly.

**Quality check.** Copies of one picture in two splits let every method cheat. Nobody told us about copies, so we look, and take
what we find out of the training:
""")

code("duplicates", '''
copies = imaging.duplicates(xrays)
across = copies[copies["split_a"] != copies["split_b"]]
print(f"{len(copies)} pairs of equal or nearly equal X-rays, {len(across)} of them across two splits")
twice = across.loc[across["split_a"] == "train", "index_a"].unique()
xrays = replace(xrays, train=xrays.train.subset(np.setdiff1d(np.arange(len(xrays.train)), twice)))
print(f"{len(twice)} training X-rays are left out; {len(xrays.train):,} stay")
''')

md("scans-heading", """
**Brain MRI.** Scans of patients with a lower-grade glioma, a slow brain tumour. A scan is a stack of slices; an expert has drawn
the tumour on each. The archive is large (see the card), so it is downloaded only when you ask for it: with
`data.load(SCANS, "real")`, once. Until then the stand-in serves, and the full study's figures are printed beside yours.
""")

code("scans-load", '''
scans = data.load(SCANS, SOURCE)
assert not set(scans.train.groups) & set(scans.test.groups), "a patient is in two splits"
scans
''')

code("scans-look", '''
patient = pd.Series(scans.train.labels).groupby(scans.train.groups).sum().idxmax()
mine = np.flatnonzero(scans.train.groups == patient)
mine = mine[np.argsort(scans.train.order[mine])]
mine = mine[np.linspace(0, len(mine) - 1, 16).astype(int)]
plots.image_grid(
    scans.train.images[mine],
    [scans.classes[c] if c == scans.positive else "" for c in scans.train.labels[mine]],
    title=plots.title("One patient, from the neck upwards", scans.source),
    size=1.0,
);
''')

md("scans-look-read", """
The tumour is a bright patch over several neighbouring slices. Those slices look alike: thirty labels of one patient are worth far
less than thirty labels of thirty patients. So patients, not slices, are split, drawn, and resampled for the intervals.
""")

md("position-heading", """
**What does a slice give away without being looked at?** Its place in the stack. Tumours are rare at both ends. A method that does
not beat the slice number has learnt anatomy, not disease.
""")

code("position", '''
def position(split):
    """Where in the head a slice lies, from 0 to 1, and the square of it: shape (n, 2)."""
    place = split.order / pd.Series(split.order).groupby(split.groups).transform("max").to_numpy()
    return np.stack([place, place**2], axis=1)


tenth = np.minimum((position(scans.train)[:, 0] * 10).astype(int), 9)
share = pd.Series(scans.train.labels == scans.positive).groupby(tenth).mean()
ax = share.plot.bar(figsize=(6, 2.4), rot=0, color=plots.PALETTE[0], width=0.9)
ax.set(
    xlabel="tenth of the stack, from the neck upwards",
    ylabel="share with tumour",
    title=plots.title("Tumours lie in the middle of the stack", scans.source),
);
''')

md("position-read", """
The bars rise and fall: the slice number alone is a score, and it goes into the comparison as a rival.
""")

md("augmentation", """
**Augmentation: what should not matter.** Where the child stands, how it is turned, how long the exposure was. What must survive is
the difference in grey between lung and haze. The preset crops between a third and all of the picture, mirrors, and changes
contrast and brightness. Turn the knobs:
""")

code("explorer", '''
chest = augment.PRESETS["chest_xray"]
widgets.augmentation_explorer(xrays.train.images[some[-1]], chest)
''')

md("explorer-read", """
The first picture is the X-ray, the others are views of it. Ask of every setting: *would a physician still give all views the
same label?* With tiny crops the answer becomes no.
""")

md("step4", """
## 4 Choose the framework

PyTorch; Lightning Fabric for device, precision and checkpoints; scikit-learn for everything that is not a network. Our own
encoder is a small residual network. It trains on small views and reads full pictures afterwards, because it averages over
positions. With a graphics card and larger pictures you would take a ResNet-50, and nothing below would change.

**The network from the shelf** is EfficientNet-Lite0. It comes as a Python package, so it needs no download of its own. Mind what
it is: it was trained on a million photographs *with labels*, cats and cars, no X-ray among them. It is pretrained, not
self-supervised. A self-supervised one from a hub, DINOv2 for example, goes in its place with `pretrained.HubEncoder(name)`.
""")

code("encoder", '''
views, scan_views = replace(chest, size=20), replace(chest, size=48)


def new_encoder(seed, width=16):
    torch.manual_seed(seed)
    return encoders.ResNet(1, width)


borrowed = pretrained.EfficientNetLite0()
for name, network in (("ours", new_encoder(0)), ("borrowed", borrowed)):
    print(f"{name:<9} {encoders.count_parameters(network):>9,} parameters, {network.out_features:>5} features")
''')

md("step5", r"""
## 5 Train

**SimCLR's loss, first as a picture.** Three X-rays, two views each. Every view asks the five others: *are you my partner?* It should
say yes to one and no to four. Similarity is the cosine of the two feature vectors, $s_{ij} = z_i \cdot z_j$ with $|z| = 1$; a softmax
turns the similarities into probabilities, and the loss is minus the logarithm of the partner's:

$$\ell_i = -\log \frac{\exp(s_{i,p(i)} / \tau)}{\sum_{j \neq i} \exp(s_{ij} / \tau)}$$

The temperature $\tau$ says how much the nearest wrong candidates count.
""")
code("toy", '''
trio = augment.to_tensor(xrays.train.images[some[[0, 8, 9]]])
pair = [views(trio, torch.Generator().manual_seed(s)) for s in (1, 2)]
z = torch.cat([p.flatten(1) for p in pair])
z = torch.nn.functional.normalize(z - z.mean(dim=0))
ax = plt.subplots(figsize=(3.4, 3))[1]
ax.imshow((z @ z.T).fill_diagonal_(torch.nan), cmap="RdBu_r", vmin=-1, vmax=1)
ax.plot([3, 4, 5, 0, 1, 2], range(6), "ks", markersize=26, fillstyle="none", linestyle="none")
names = [f"{v}, X-ray {i}" for v in ("view 1", "view 2") for i in (1, 2, 3)]
ax.set_xticks(range(6), names, rotation=90)
ax.set_yticks(range(6), names)
ax.set_title("Similarity of six views; frames mark the partners");
''')

md("toy-read", """
These are raw pixels, before any training: red is alike. The frames should be the reddest field of each row, and mostly they are
not yet. Training makes them so. Here is the loss in code:
""")

code("show-loss", '''
display(Code(inspect.getsource(pretext.nt_xent), language="python"))
''')

md("predict-loss", """
**Predict:** a network gives every picture the same features (a *collapse*). Then all candidates are equally likely. What is the
loss for a batch of 256?

Now pretrain, X-rays and slices side by side, one training per core: **about two minutes**. Your run has one seed of each; the
full study has five, the neighbouring slices, and rotation.
""")

code("pretrain", '''
def slice_pairs(split):
    """Each slice above the next one of its patient: uint8 (pairs, 2 height, width, channels)."""
    order = np.lexsort((split.order, split.groups))
    lower, upper = order[:-1], order[1:]
    near = (split.groups[lower] == split.groups[upper]) & (split.order[upper] - split.order[lower] == 1)
    return np.concatenate([split.images[lower[near]], split.images[upper[near]]], axis=1)


seeds = range(PRETRAINING_SEEDS)
objectives = {("X-rays", s): pretext.SimCLR(new_encoder(SEED + s), views) for s in seeds}
objectives |= {("slices", s): pretext.SimCLR(new_encoder(SEED + s), scan_views) for s in seeds}
if EVERYTHING:
    objectives |= {("neighbours", s): pretext.NeighbourSimCLR(new_encoder(SEED + s), scan_views) for s in seeds}
    objectives |= {("rotation", s): pretext.RotationPrediction(new_encoder(SEED + s), views) for s in seeds}
pool = {"X-rays": xrays.train.images, "rotation": xrays.train.images, "slices": scans.train.images}
pool["neighbours"] = slice_pairs(scans.train)
epochs = {"X-rays": EPOCHS, "rotation": EPOCHS, "slices": SCAN_EPOCHS, "neighbours": SCAN_EPOCHS}
plan = {
    (kind, s): partial(train.pretrain, objective, pool[kind], epochs=epochs[kind], seed=SEED + s)
    for (kind, s), objective in objectives.items()
}
histories = {key: history for key, (_, history) in train.pretrain_all(plan, store).items()}
''')

code("curve", '''
plots.learning_curve(histories["X-rays", 0], name=plots.title("SimCLR on X-rays", xrays.source));
''')

md("curve-read", r"""
The loss starts near *chance*. That is the answer to the question above: 511 equally likely candidates give
$\ln 511$, the upper line. A collapsed network would stay there. The loss falls towards the *floor* and is not meant to reach it:
different healthy lungs really are similar. The other panels watch for collapse: spread near zero, one dimension in use.
""")

code("curve-check", '''
table = pd.DataFrame({
    f"{kind} {s}": {
        "first loss": h.frame["loss"].iloc[0], "last loss": h.frame["loss"].iloc[-1], **h.reference,
        "RankMe": h.frame["rankme"].iloc[-1], "CPU-seconds": h.cpu_seconds,
    }
    for (kind, s), h in histories.items()
})  # fmt: skip
contrastive = [h for (kind, _), h in histories.items() if kind != "rotation"]
assert all(h.frame["loss"].iloc[-1] < h.reference["chance and collapse"] - 0.5 for h in contrastive), "nothing learnt"
assert not any(h.collapsed for h in histories.values()), "an encoder has collapsed"
table.T.round(2)
''')

md("curve-table", """
One row per training. The table tells a collapse from a working training, and no more: what the features are worth is decided by a
task with labels.
""")

md("step6", """
## 6 Evaluate representations

First without any label: the test X-rays in the space of the frozen features. We colour the dots afterwards.
""")

code("map", '''
from sklearn.manifold import TSNE


def features(encoder, parts):
    return [encoders.encode(encoder, part.images) for part in parts]


chest_parts, scan_parts = (xrays.train, xrays.test), (scans.train, scans.test)
frozen = {
    (kind, s): probes.standardise(*features(o.encoder, chest_parts if kind in ("X-rays", "rotation") else scan_parts))
    for (kind, s), o in objectives.items()
}
points = TSNE(random_state=SEED, init="pca", perplexity=30).fit_transform(frozen["X-rays", 0][1])
plots.embedding_map(
    points, xrays.test.labels, xrays.classes, title=plots.title("Test X-rays in the features of SimCLR", xrays.source)
);
''')

md("map-read", """
No label was used to place the dots, only to colour them. Where colours separate, few labels go a long way; where they mix, a
probe makes its mistakes.

Now the borrowed network. It reads pictures of 96 x 96 pixels in three colours; ours are enlarged and their one channel is used
three times. Its features are computed once, half a minute of work:
""")

code("borrow", '''
begin = time.process_time()
parts = [part.images for part in (*chest_parts, *scan_parts)]
lite0 = parallel.map_all(lambda images: encoders.encode(borrowed, images), parts, "borrowed features", store)
lite0 = {"X-rays": probes.standardise(*lite0[:2]), "slices": probes.standardise(*lite0[2:])}
''')

md("methods", """
### X-rays

Every method sees the same drawn labels, chooses its settings and its threshold by cross-validation inside them, and is then fitted
on *all* of them. Of a network three are fitted, and they vote.

| in the figure | what it is |
|---|---|
| pixels | logistic regression on pixels (the table also has 50 principal components) |
| random network, frozen | our network, never trained, and logistic regression |
| network from random weights | our network, trained on the drawn labels with augmentation |
| borrowed network, frozen | features of EfficientNet-Lite0 and logistic regression |
| own SSL, frozen | features of SimCLR and logistic regression: a **linear probe** |
| own SSL, fine-tuned | SimCLR's network, trained on like the network from random weights |

**The rival at its best.** A supervised network likes its own augmentation and its own training time. Both are settled on other
training X-rays, for the network *from random weights*; the pretrained one takes over what suits its rival.
""")

code("recipes", '''
labels = xrays.train.labels
fresh = [new_encoder(100 + SEED + s) for s in seeds]
tuned = [objectives["X-rays", s].encoder for s in seeds]


def on_others(recipe, steps, repeat):
    """AUC on a thousand training X-rays, after so many steps on `FEW` others."""
    drawn = draws.draw_labels(labels, FEW, 100 + repeat)
    asked = np.setdiff1d(np.arange(len(labels)), drawn)[repeat::3][:1000]
    given = xrays.train.images[drawn], labels[drawn], 2, replace(recipe, min_steps=steps), repeat
    return metrics.roc_auc(labels[asked], finetune.predict(finetune.fit_classifier(fresh[0], *given), xrays.train.images[asked]))


crops = {"mild crops": finetune.Recipe(augment=replace(chest, area=(0.8, 1.0))), "SimCLR's crops": finetune.Recipe(chest)}
tried = [steps for steps in (60, 120, 240) if steps <= MOST_STEPS]
found = {name: finetune.training_length(partial(on_others, recipe), tried, store=store) for name, recipe in crops.items()}
print(*(f"{name:<15} steps {plateau}" for name, plateau in found.items()), sep="\\n")
better = max(found, key=lambda name: found[name].scores.mean(axis=1).max())
recipe = replace(crops[better], min_steps=found[better].chosen)
print(f"taken: {better}, {recipe.min_steps} steps")
''')
code("entrants", '''
test, paid = xrays.test, float(np.mean([histories["X-rays", s].cpu_seconds for s in seeds]))
raw = probes.standardise(*[imaging.pixels(part.images) for part in chest_parts])
components = baselines.principal_components(*raw)
untrained = [probes.standardise(*features(new_encoder(200 + SEED + s), chest_parts)) for s in seeds]
own = [frozen["X-rays", s] for s in seeds]
together = [[np.hstack(pair) for pair in zip(f, lite0["X-rays"], strict=True)] for f in own]
probe = partial(study.probe_method, labels=labels)
network = partial(study.network_method, cases=xrays.train.images, labels=labels, test_cases=test.images, recipe=recipe,
                  draws=NETWORK_DRAWS)  # fmt: skip
methods = [
    study.Method("majority", "trivial", lambda index, seed: baselines.majority(labels[index], len(test), 2)),
    probe("pixels_lr", "classical", [raw]),
    probe("pca_lr", "classical", [components]),
    probe("random_encoder", "untrained", untrained),
    network("supervised_aug", "supervised", fresh),
    probe("lite0_probe", "classical", [lite0["X-rays"]]),
    probe("simclr_probe", "ssl", own, setup_seconds=paid, encoder="simclr"),
    probe("simclr_plus_lite0", "ssl", together, setup_seconds=paid, encoder="simclr"),
    network("simclr_finetuned", "ssl", tuned, setup_seconds=paid, encoder="simclr"),
]
if EVERYTHING:
    cost = float(np.mean([histories["rotation", s].cpu_seconds for s in seeds]))
    methods.append(probe("rotation_probe", "ssl", [frozen["rotation", s] for s in seeds], setup_seconds=cost))
''')

md("predict-study", """
**Predict** before you run it. At 47 labels, one in a hundred: who comes first, who comes last, and how far apart are they? And
with all labels? The study is the long cell of the chapter, **about a minute**.
""")

code("study", '''
budgets = [10, 20, FEW, 118, 471] if EVERYTHING else [10, FEW, 471]
budgets = [b for b in budgets if b < len(labels)] + [len(labels)]
result = study.label_budget_study(methods, labels, test.labels, budgets, DRAWS, store=store)
result.scores("auc").round(3)
''')

code("curves", '''
WORDS = {
    "pixels_lr": "pixels", "random_encoder": "random network, frozen", "supervised_aug": "network from random weights",
    "lite0_probe": "borrowed network, frozen", "simclr_probe": "own SSL, frozen",
    "simclr_finetuned": "own SSL, fine-tuned", "simclr_plus_lite0": "own SSL + borrowed",
}  # fmt: skip
plots.label_budget_curve(
    result, "auc", WORDS, ylabel="test AUC", title=plots.title("Chest X-rays: methods by number of labels", xrays.source)
).set_ylim(0.75, 1);
''')
md("curves-read", """
Each point is a mean over draws and seeds, each bar a 95 % interval over draws, seeds *and* test X-rays. Solid lines are
self-supervised, dashed ones read features that were there before. Read up at one number of labels for who is better, and across
at one height for how many labels that is worth. Look at the right edge: is anything left of the advantage? That answers the
question above.
""")

code("slider", '''
widgets.budget_slider(result, "auc", "simclr_finetuned", "supervised_aug")
''')

md("verdict-heading", """
**The verdicts** are computed. The cleanest contrast comes first: the same network, augmentation, steps and labels, once from
pretrained and once from random weights. Then the probe against cheaper rivals, and against the borrowed network.
""")

code("verdicts", '''
page = "10_medical_imaging.ipynb"


def difference(name, method, versus, budget, of=result, metric="auc"):
    return {f"{name}@{budget}": verdict.compare(of, metric, method, versus, budget, WORTH)}


xray_pairs = difference("auc_difference/simclr_finetuned_vs_same_network", "simclr_finetuned", "supervised_aug", FEW)
xray_pairs |= difference("auc_difference/simclr_finetuned_vs_same_network", "simclr_finetuned", "supervised_aug", budgets[-1])
for versus in ("pixels_lr", "supervised_aug", "lite0_probe"):
    xray_pairs |= difference(f"auc_difference/simclr_probe_vs_{versus}", "simclr_probe", versus, FEW)
xray_pairs |= difference("auc_difference/own_and_borrowed_vs_borrowed", "simclr_plus_lite0", "lite0_probe", FEW)
saved = verdict.labels_saved(result, "auc", "simclr_finetuned", FEW, among=["supervised_aug"])
assert all(v.n in (1, DRAWS, NETWORK_DRAWS) for v in xray_pairs.values()), "the draws are not paired"
print(evidence.beside(xray_pairs | {"labels_saved/simclr_finetuned": saved}, page))
''')

md("verdicts-read", """
Compare the first lines with the ones below. A report that shows the gain over pixels and stops there has compared pretraining
with rivals that never saw an augmented picture; over a rival at its best little may remain. Where a line says *undecided* or *too
few runs*, that is no evidence that SSL does not help, and none that it does.

**Where to cut, with few labels?** One half is a tempting threshold. It inherits the share of pneumonia among the drawn labels, and
that share differs at the test. The study tries a second cut, which counts both classes equally, and keeps it where held-out scores
of the drawn labels are clearly better with it. The same scores, cut twice:
""")

code("threshold", '''
sick = test.labels == xrays.positive
rows = []
for i, run in result.frame.query("budget == @FEW and method in ['pixels_lr', 'supervised_aug', 'simclr_probe']").iterrows():
    prediction = result.predictions[i]
    for cut, said in (("one half", prediction.scores.argmax(axis=1)), ("cross-validated", prediction.decisions)):
        positive = said == xrays.positive
        rows.append({"method": WORDS[run["method"]], "cut": cut, "sensitivity": positive[sick].mean(),
                     "specificity": (~positive[~sick]).mean()})  # fmt: skip
cuts = pd.DataFrame(rows).groupby(["method", "cut"]).mean()
cuts.assign(balanced_accuracy=cuts.mean(axis=1)).round(3)
''')

md("threshold-read", """
High sensitivity beside low specificity means that many healthy children are called sick. Accuracy would hide it, since most
children of the set are sick. The cross-validated cut is an estimate and need not win in every pair.
""")

code("calibration", '''
from sklearn.calibration import calibration_curve
from sklearn.metrics import log_loss

_, axes = plt.subplots(1, 2, figsize=(8, 3.2), layout="constrained")
for ax, b in zip(axes, (FEW, budgets[-1]), strict=True):
    for name, style in (("supervised_aug", "--"), ("simclr_probe", "-")):
        runs = result.frame.query("budget == @b and method == @name").index
        probability = np.concatenate([result.predictions[i].scores[:, xrays.positive] for i in runs])
        observed, said = calibration_curve(np.tile(sick, len(runs)), probability, n_bins=8, strategy="quantile")
        plots.reliability(ax, said, observed, label=WORDS[name], linestyle=style)
    ax.set_title(plots.title(f"{b:,} labels", xrays.source))
axes[0].legend(fontsize=8)
losses = {}
for run in result.frame[result.frame["method"].isin(["supervised_aug", "simclr_probe"])].itertuples():
    losses.setdefault((WORDS[run.method], run.budget), []).append(
        log_loss(test.labels, result.predictions[run.Index].scores, labels=[0, 1])
    )
pd.Series({key: np.mean(values) for key, values in losses.items()}).unstack().round(3)
''')

md("calibration-read", """
On the dotted diagonal a stated probability is right; points below it promise more pneumonia than there is. The table gives each
method's log loss by number of labels, lower is better: it can be worse for the method with the better ranking. More labels of the training's mixture
do not mend it, since the test has another mixture. Rank with the score, cut with care, and recalibrate on local pictures before
anybody reads it as a risk.
""")

code("mistakes", '''
first = result.frame.query("budget == @FEW and method == 'simclr_probe' and draw == 0 and seed == 0").index[0]
prediction = result.predictions[first]
probability = prediction.scores[:, xrays.positive]
missed = np.flatnonzero(sick & (prediction.decisions != xrays.positive))
alarms = np.flatnonzero(~sick & (prediction.decisions == xrays.positive))
shown = np.concatenate([missed[np.argsort(probability[missed])][:8], alarms[np.argsort(-probability[alarms])][:8]])
captions = [f"{'missed' if sick[i] else 'false alarm'}, {probability[i]:.2f}" for i in shown]
plots.image_grid(
    test.images[shown], captions, size=1.0,
    title=plots.title(f"Missed pneumonia and false alarms with {FEW} labels, and their scores", xrays.source),
);  # fmt: skip
''')

md("mistakes-read", """
Always look at the mistakes, both kinds apart: missing pneumonia and alarming a healthy child do not cost the same. Ask of each
whether you would have read it differently at this size.

### Brain MRI

The same questions, harder: fewer pictures, split by patient, and a budget that counts patients. Two features come for free: where
the slice lies, and nothing else. Because a scan is always read as a whole, *every* probe may use the place beside its features.
""")
code("scan-methods", '''
y, patients, y_test = scans.train.labels, scans.train.groups, scans.test.labels
scan_cost = float(np.mean([histories["slices", s].cpu_seconds for s in seeds]))
place = probes.standardise(*[position(part) for part in scan_parts])


def placed(features):
    """Features with the place of the slice beside them, weighted so that a penalty does not drown it."""
    return [np.hstack([x, 3 * p]) for x, p in zip(features, place, strict=True)]


slice_pixels = probes.standardise(*[imaging.pixels(part.images) for part in scan_parts])
slice_random = [probes.standardise(*features(new_encoder(200 + SEED + s), scan_parts)) for s in seeds]
slice_own = [frozen["slices", s] for s in seeds]
slice_both = [[np.hstack(pair) for pair in zip(f, lite0["slices"], strict=True)] for f in slice_own]
probe = partial(study.probe_method, labels=y, groups=patients)
scan_methods = [
    probe("slice_position", "classical", [place]),
    probe("pixels_lr", "classical", [placed(slice_pixels)]),
    probe("random_encoder", "untrained", [placed(f) for f in slice_random]),
    probe("lite0_probe", "classical", [placed(lite0["slices"])]),
    probe("simclr_probe", "ssl", [placed(f) for f in slice_own], setup_seconds=scan_cost, encoder="slices"),
    probe("simclr_plus_lite0", "ssl", [placed(f) for f in slice_both], setup_seconds=scan_cost, encoder="slices"),
]
''')
code("scan-networks", '''
beside = [{"picture": part.images, "numbers": np.float32(3 * p)} for part, p in zip(scan_parts, place, strict=True)]


def scan_augment(cases, generator):
    return {"picture": chest(cases["picture"], generator), "numbers": cases["numbers"]}


def with_place(encoder):
    return encoders.WithNumbers(encoder, 2)


network = partial(
    study.network_method, cases=beside[0], labels=y, test_cases=beside[1], groups=patients, budgets=(FEW_PATIENTS,),
    recipe=finetune.Recipe(scan_augment, batch_size=64, min_steps=SCAN_STEPS), draws=None if EVERYTHING else NETWORK_DRAWS,
)  # fmt: skip
scan_methods += [
    network("supervised_aug", "supervised", [with_place(new_encoder(100 + SEED + s)) for s in seeds]),
    network("simclr_finetuned", "ssl", [with_place(objectives["slices", s].encoder) for s in seeds],
            setup_seconds=scan_cost, encoder="slices"),
]  # fmt: skip
if EVERYTHING:
    cost = float(np.mean([histories["neighbours", s].cpu_seconds for s in seeds]))
    of_pairs = [placed(frozen["neighbours", s]) for s in seeds]
    scan_methods.append(probe("neighbours_probe", "ssl", of_pairs, setup_seconds=cost))
''')

code("scan-study", '''
there = len(np.unique(patients))
scan_budgets = [b for b in ((2, 4, 8, 16, 40) if EVERYTHING else (2, FEW_PATIENTS, 40)) if b < there] + [there]
scan_result = study.label_budget_study(
    scan_methods, y, y_test, scan_budgets, DRAWS, draw=partial(draws.draw_groups, groups=patients),
    groups=scans.test.groups, unit="labelled patients", store=store,
)  # fmt: skip
scan_result.scores("auc").round(3)
''')

code("scan-curves", '''
SCAN_WORDS = WORDS | {"slice_position": "place of the slice alone", "pixels_lr": "pixels + place"}
plots.label_budget_curve(
    scan_result, "auc", {name: SCAN_WORDS[name] for name in SCAN_WORDS if name in scan_result.methods()},
    ylabel="AUC of slices, other patients", ylim=(0.6, 1),
    title=plots.title("Tumour on a slice: methods by number of labelled patients", scans.source),
);
''')
md("scan-curves-read", """
Look for the first line that lies clearly above *place of the slice alone*: below it, a method has learnt where tumours lie, not what
they look like. The bars are wide, because the test has few patients; the paired verdicts are sharper. The two contestants of the
declared comparison are chosen by cross-validation inside the drawn labels:
""")

code("scan-verdicts", '''
OWN = ["simclr_probe", "simclr_finetuned"] + (["neighbours_probe"] if EVERYTHING else [])
WITHOUT = ["slice_position", "pixels_lr", "random_encoder", "supervised_aug"]


def best(names, budget, of=scan_result):
    """The method with the best cross-validated score among those that ran on every draw."""
    runs = of.frame[of.frame["method"].isin(names) & (of.frame["budget"] == budget)]
    drawn = runs.groupby("method")["draw"].nunique()
    return runs[runs["method"].isin(drawn.index[drawn == drawn.max()])].groupby("method")["cv_auc"].mean().idxmax()


own, rival = best(OWN, FEW_PATIENTS), best(WITHOUT, FEW_PATIENTS)
compare = partial(difference, of=scan_result, budget=FEW_PATIENTS)
scan_pairs = compare("mri_auc_difference/best_pretrained_vs_best_other", own, rival)
scan_pairs |= compare("mri_auc_difference/simclr_finetuned_vs_same_network", "simclr_finetuned", "supervised_aug")
asked = [("simclr_probe", versus) for versus in ("slice_position", "pixels_lr", "lite0_probe")]
for method, versus in [*asked, ("simclr_plus_lite0", "lite0_probe")]:
    scan_pairs |= compare(f"mri_auc_difference/{method}_vs_{versus}", method, versus)
scan_saved = verdict.labels_saved(scan_result, "auc", own, FEW_PATIENTS, among=WITHOUT[:3])
print(evidence.beside(scan_pairs | {"mri_labels_saved/own": scan_saved}, page))
''')

md("claim", """
**"SSL on MRI scans cut diagnostic errors by 30 %."** The sentence is quoted everywhere, hardly ever with its rival or an interval.
Here is our version of it: wrong slices per hundred, sick and healthy counted equally, of the two contestants above.
""")

code("claim-test", '''
errors = verdict.compare(scan_result, "balanced_accuracy", own, rival, FEW_PATIENTS, WORTH)
scan_errors = {f"mri_error_reduction/best_pretrained_vs_best_other@{FEW_PATIENTS}": errors}
print(evidence.beside(scan_errors, page))
wrong = {SCAN_WORDS[name]: scan_result.interval("balanced_accuracy", name, FEW_PATIENTS) for name in (own, rival)}
pd.DataFrame({name: [100 * (1 - v) for v in (m, high, low)] for name, (m, low, high) in wrong.items()},
             index=["wrong slices in 100", "from", "to"]).T.round(1)  # fmt: skip
''')

md("claim-read", """
*Errors reduced by* is the sentence's figure, with its interval. Whether it is near 30 % or not, notice what it depends on: the rival,
the number of labelled patients, and the patients in the test. A percentage without these three is an advertisement.

**Own pretraining, borrowed weights, or both?** The last two lines of the verdicts above say what own features add beside the
borrowed ones, and the table says it for every number of patients:
""")

code("own-or-borrowed", '''
rows = {}
for b in scan_budgets:
    for method, versus in (("simclr_probe", "lite0_probe"), ("simclr_plus_lite0", "lite0_probe")):
        v = verdict.compare(scan_result, "auc", method, versus, b, WORTH)
        rows.setdefault(f"{SCAN_WORDS[method]} against {SCAN_WORDS[versus]}", {})[b] = f"{v.difference:+.3f} {v.outcome}"
print(f"own pretraining: {scan_cost:,.0f} CPU-seconds; somebody else's is free, and a thousand times as large")
pd.DataFrame(rows).rename_axis("labelled patients")
''')

md("own-or-borrowed-read", """
Start from borrowed weights; they cost a minute. Pretrain on your own archive where it adds to them, or where nothing borrowed fits:
another kind of picture, a licence that forbids it, a device too small for it.
""")

md("step7", """
## 7 Iterate and optimise

**An augmentation is a claim about the disease.** We pretrain for a quarter of the time with four recipes and probe with 118 labels
on the *validation* X-rays. (Not on the test: this is a choice, and choices must not see the test.) Two lines show what needs no
pretraining.
""")

code("ablation", '''
variants = {
    "preset": views,
    "no crop": replace(views, area=(1.0, 1.0), aspect=(1.0, 1.0)),
    "tiny crops": replace(views, area=(0.02, 0.08)),
    "black and white exchanged": replace(views, contrast=0.9, brightness=0.5, invert=0.5),
}
objects = {(name, s): pretext.SimCLR(new_encoder(SEED + s), v) for name, v in variants.items() for s in seeds}
short = {"epochs": max(EPOCHS // 4, 1)}
train.pretrain_all(
    {key: partial(train.pretrain, o, xrays.train.images, seed=SEED + key[1], **short) for key, o in objects.items()}, store
)
validation = xrays.validation


def validation_auc(pair):
    """Mean AUC of a probe over the draws, on the validation X-rays."""
    drawn = [draws.draw_labels(labels, min(118, len(labels) // 4), draw) for draw in range(DRAWS)]
    said = [probes.linear_probe(pair[0][i], labels[i], pair[1], 2).scores for i in drawn]
    return np.mean([metrics.roc_auc(validation.labels, s) for s in said])


def both_parts(encoder):
    return probes.standardise(*features(encoder, (xrays.train, validation)))


ablation = {name: [validation_auc(both_parts(objects[name, s].encoder)) for s in seeds] for name in variants}
without = {"pixels": probes.standardise(*[imaging.pixels(p.images) for p in (xrays.train, validation)])}
without["random network"] = both_parts(new_encoder(300))
without = {name: validation_auc(pair) for name, pair in without.items()}
''')

code("ablation-plot", '''
fig, ax = plt.subplots(figsize=(7, 2.4), layout="constrained")
for i, values in enumerate(ablation.values()):
    ax.plot(values, [i] * len(values), "o", color=plots.PALETTE[0])
for (name, value), style in zip(without.items(), ("--", ":"), strict=True):
    ax.axvline(value, color=plots.PALETTE[7], linestyle=style)
    ax.annotate(name, (value, 1.02), xycoords=("data", "axes fraction"), ha="center", fontsize=8)
ax.set_yticks(range(len(ablation)), ablation)
ax.set(xlabel="validation AUC, one point per pretraining")
ax.set_title(plots.title("What four augmentations leave for the diagnosis", xrays.source), pad=18);
''')

md("ablation-read", """
Read the points against the two lines. A recipe left of *pixels* has cost more than it taught, and one left of *random network*
has unlearnt something. Views that exchange black and white tell the network that white in a lung means nothing; tiny crops show it
no lung. The validation X-rays are easy ones (see the card), so small distances count here.

**Rotation**, in the full study, is the other lesson, and the answer to the question of step 2: a chest is upright because of its
outline and its heart; a network can tell up from down without ever looking into the lungs. *A pretext only teaches what its answer
requires.*

**A smaller network from the large one.** The borrowed network has sixty times the weights of ours. It can teach: our network
learns, without labels, to give the borrowed features from any view of a picture (**distillation**).
""")
code("distil", '''
student = new_encoder(SEED)
distillation = pretext.Distillation(student, borrowed.out_features, scan_views)
taught = {"picture": scans.train.images, "features": lite0["slices"][0]}
plan = {"student": partial(train.pretrain, distillation, taught, epochs=SCAN_EPOCHS, seed=SEED)}
_, lesson = train.pretrain_all(plan, store)["student"]
of_student = probes.standardise(*features(student, scan_parts))
pairs = {"borrowed": lite0["slices"], "student": of_student, "own SSL": slice_own[0]}
distilled = study.label_budget_study(
    [study.probe_method(name, "classical", [placed(f)], y, patients) for name, f in pairs.items()], y, y_test,
    [FEW_PATIENTS], DRAWS, draw=partial(draws.draw_groups, groups=patients), groups=scans.test.groups,
    unit="labelled patients", store=store,
)  # fmt: skip


def slices_per_second(network):
    begin = time.perf_counter()
    encoders.encode(network, scans.test.images[:256])
    return min(256, len(y_test)) / (time.perf_counter() - begin)


sizes = {}
for name, network in (("borrowed", borrowed), ("student", student)):
    score, low, high = distilled.interval("auc", name, FEW_PATIENTS)
    sizes[name] = {"parameters": encoders.count_parameters(network), "slices per second": slices_per_second(network),
                   f"AUC, {FEW_PATIENTS} patients": score, "from": low, "to": high}  # fmt: skip
print(verdict.compare(distilled, "auc", "student", "borrowed", FEW_PATIENTS, WORTH))
pd.DataFrame(sizes).T.round(3)
''')

md("distil-read", """
The first columns say what is saved on every slice that is read from now on, the last ones what that costs in quality. With one
student and a handful of draws the line above says how sure that is.

**Without one label of a tumour.** How far is a slice from its nearest neighbours among *tumour-free* slices? That distance is an
anomaly score. Mind that it is not free of labels: somebody had to say which training slices are healthy.
""")

code("anomaly", '''
from sklearn.neighbors import NearestNeighbors

healthy = y != scans.positive


def distance(pair, k=5):
    """Mean distance of each test slice to the k nearest healthy training slices."""
    return NearestNeighbors(n_neighbors=k).fit(pair[0][healthy]).kneighbors(pair[1])[0].mean(axis=1)


weights = metrics.bootstrap_weights(len(y_test), 1000, groups=scans.test.groups)
anomaly = {}
for name, pair in {"pixels": slice_pixels, "own SSL": slice_own[0], "borrowed": lite0["slices"]}.items():
    scores = np.column_stack([-(d := distance(pair)), d])
    low, high = metrics.percentiles(metrics.roc_auc(y_test, scores, weights))
    anomaly[name] = {"AUC": metrics.roc_auc(y_test, scores), "from": low, "to": high}
pd.DataFrame(anomaly).T.round(3)
''')

md("anomaly-read", """
Hold the rows against *place of the slice alone* in the figure. Distance treats every deviation alike, a tumour or a slice at the
end of the stack; a handful of labelled patients tells a probe which deviations count.

**The decision memo** is what goes to the head of radiology: scores, labels saved in money, compute, and one sentence.
""")

code("memo", '''
declared = [v for name, v in scan_pairs.items() if "best_pretrained" in name]
memo = report.decision_memo(scan_result, declared, [scan_saved], 30 * COST_PER_LABEL, source=scans.source)
print(memo.recommendation)
memo
''')

md("exercises", """
## Check yourself

Fill in a function, run the cell below it, and open the solution when you want to.

**1. The loss of a collapsed network.** Return SimCLR's loss when all embeddings of a batch of `n` pictures are equal.
""")

code("exercise1", '''
def collapsed_loss(n):
    # YOUR CODE HERE
    return None
''')

code("check1", '''
def check(answers, hint, tolerance=1e-3):
    """Compare (given, expected) pairs, and say what is wrong with the first that differs."""
    if any(given is None for given, _ in answers):
        print("Nothing returned yet.")
        return
    wrong = [(g, e) for g, e in answers if not np.allclose(g, e, atol=tolerance)]
    print(f"You returned {wrong[0][0]}. {hint}" if wrong else "Correct.")


equal = [torch.ones(n, 8) for n in (4, 256)]
check(
    [(collapsed_loss(len(z)), float(pretext.nt_xent(z, z))) for z in equal],
    "How many candidates has a view, when it may not choose itself?",
)
''')

md("solution1", """
<details><summary>Solution</summary>

```python
def collapsed_loss(n):
    return np.log(2 * n - 1)
```

All candidates are equally similar, so the partner has probability 1 / (2n - 1).
</details>

**2. A threshold with a promise.** The hospital wants at least 95 % sensitivity. Given scores and labels (1 = sick), return the
largest threshold for which `score >= threshold` finds that share of the sick.
""")

code("exercise2", '''
def threshold_for(scores, sick, sensitivity=0.95):
    # YOUR CODE HERE
    return None
''')

code("check2", '''
def largest(scores, sick, sensitivity):
    """By trying every score."""
    return max(t for t in scores if np.mean(scores[sick == 1] >= t) >= sensitivity)


toys = [(np.random.default_rng(s).permutation(40) / 40, np.arange(40) % (s + 2) == 0, q) for s, q in ((0, 0.95), (1, 0.8))]
check(
    [(threshold_for(s, sick.astype(int), q), largest(s, sick, q)) for s, sick, q in toys],
    "Sort the scores of the sick: how many may lie below the cut?",
)
''')

md("solution2", """
<details><summary>Solution</summary>

```python
def threshold_for(scores, sick, sensitivity=0.95):
    of_the_sick = np.sort(scores[sick == 1])
    return of_the_sick[int(np.floor((1 - sensitivity) * len(of_the_sick) + 1e-9))]
```

With 47 labels there are about thirty-five sick X-rays: a promise of 95 % rests on two of them.
</details>

**3. Spot the leak.** A colleague splits the slices at random. Return the share of test patients who are also in training, for any
`train_groups` and `test_groups`.
""")

code("exercise3", '''
def leaked(train_groups, test_groups):
    # YOUR CODE HERE
    return None
''')

code("check3", '''
shuffled = np.random.default_rng(0).permutation(scans.train.groups)
check(
    [(leaked(np.array(["a", "b"]), np.array(["b", "b", "c"])), 0.5),
     (leaked(scans.train.groups, scans.test.groups), 0.0),
     (leaked(shuffled[:500], shuffled[500:]), np.isin(np.unique(shuffled[500:]), shuffled[:500]).mean())],
    "Count patients, not slices: a patient with fifty slices is one patient.",
)  # fmt: skip
''')

md("solution3", """
<details><summary>Solution</summary>

```python
def leaked(train_groups, test_groups):
    return np.isin(np.unique(test_groups), train_groups).mean()
```
</details>

**4. An augmentation for the heart.** Suppose the label were *dextrocardia*: the heart lies on the right. Return a changed copy of
`chest` that keeps this label intact.
""")

code("exercise4", '''
def views_for_dextrocardia(chest):
    # YOUR CODE HERE
    return None
''')

code("check4", '''
mine = views_for_dextrocardia(chest)
if mine is None:
    print("Nothing returned yet.")
else:
    ramp = torch.linspace(0, 1, 28).expand(64, 1, 28, 28)
    turned = [(mine(ramp, torch.Generator().manual_seed(s)).diff(dim=-1).mean(dim=(1, 2, 3)) < 0).sum() for s in (0, 1)]
    changed = replace(mine, flip=chest.flip) != chest
    print(f"{sum(turned)} of 128 views exchange left and right." if sum(turned) else
          "It changes more than it must." if changed else "Correct.")  # fmt: skip
''')

md("solution4", """
<details><summary>Solution</summary>

```python
def views_for_dextrocardia(chest):
    return replace(chest, flip=0.0)
```

Mirroring was harmless for pneumonia and would be fatal here. There is no augmentation that fits every question.
</details>
""")

md("own", """
## Your own data

Set `OWN_DATA` to a table with the columns `path`, `label` (empty where unknown) and `patient`, or to a folder with one sub-folder of
pictures per class. Unlabelled pictures are used for pretraining only; all pictures of a patient stay in one split. If `OWN_DATA` is
empty, the next cell writes such a table from slices of the scans.
""")

code("own-write", '''
import tempfile
from pathlib import Path

from PIL import Image

if OWN_DATA:
    path = Path(OWN_DATA)
else:
    path = Path(tempfile.mkdtemp()) / "slices.csv"
    rows = []
    for i in np.random.default_rng(SEED).permutation(len(scans.train))[:600]:
        Image.fromarray(scans.train.images[i].squeeze()).save(path.parent / f"{i}.png")
        rows.append((f"{i}.png", scans.classes[scans.train.labels[i]], scans.train.groups[i]))
    pd.DataFrame(rows, columns=["path", "label", "patient"]).to_csv(path, index=False)
''')

code("own-load", '''
if path.is_dir():
    own = imaging.Images.from_folder(path)
else:
    own = imaging.Images.from_csv(path, group="patient" if "patient" in pd.read_csv(path, nrows=0) else None)
own.counts()
''')

md("own-read", """
The table is the first thing to check: are these your classes, and are there enough pictures of each? A folder tells nothing about
patients; then look for copies across splits, as above. The study pretrains on *your* pictures; only the borrowed network knows
others.
""")

code("own-study", '''
own_parts, own_labels = (own.train.labelled, own.test.labelled), own.train.labelled.labels
own_objective = pretext.SimCLR(encoders.ResNet(own.shape[2], 16), replace(chest, size=20))
plan = {"own": partial(train.pretrain, own_objective, own.train.images, epochs=EPOCHS, batch_size=128, seed=SEED)}
own_history = train.pretrain_all(plan, store)["own"][1]
groups_of_own = own_parts[0].groups
probe = partial(study.probe_method, labels=own_labels, groups=groups_of_own)
own_methods = [
    probe("pixels_lr", "classical", [probes.standardise(*[imaging.pixels(p.images) for p in own_parts])]),
    probe("lite0_probe", "classical", [probes.standardise(*features(borrowed, own_parts))]),
    probe("simclr_probe", "ssl", [probes.standardise(*features(own_objective.encoder, own_parts))],
          setup_seconds=own_history.cpu_seconds),
]  # fmt: skip
own_budgets = sorted({min(16 * len(own.classes), len(own_labels) // 2), len(own_labels)})
own_result = study.label_budget_study(own_methods, own_labels, own_parts[1].labels, own_budgets, DRAWS,
                                      groups=own_parts[1].groups, store=store)  # fmt: skip
own_result.scores("auc").round(3)
''')

md("own-study-read", """
One seed gives figures and no verdict. For a verdict, pretrain three times, as `objectives` does above, and put your network beside
them.
""")

md("limits", """
## Limits: when this does not work

- **Small pictures.** At 28 or 64 pixels fine signs are gone. What holds here need not hold at full resolution, in either direction.
- **One hospital, small children; every scan has a tumour.** Nothing here says what happens with adults, on another machine, or in
  people without a tumour.
- **No patient numbers among the X-rays.** Their intervals treat every X-ray as an independent child; if several show one child, the
  true intervals are wider.
- **The place of a slice** is a strong rival, and it is one that a picture of the whole slice gives away. Ask of your own data what
  is written in the margins: date, device, ward.
- **A borrowed network that fits better.** One trained on X-rays, or a self-supervised one of a hundred times the size, may beat all
  of this. Try it first; it is one line.
- **Enough labels.** A frozen probe stops improving early; at the right edge a network that may change all its weights passes it.
- **A licence.** The scans may not be used for a product, and the borrowed network has seen a million photographs of the internet.
""")

md("recap", """
## Recap

- You **pretrained** without a label and **told** a working training from a collapsed one by chance and floor.
- You **compared** own pretraining with borrowed weights and with a rival that had its own best recipe.
- You **split** by patient, and saw what the place of a slice gives away.
- You **decided** from verdicts with intervals, calibration and cost.
- You **ran** the study on pictures of your own.
""")

md("reading", """
## Further reading

- Chen et al. (2020), *A simple framework for contrastive learning of visual representations*: SimCLR.
- Azizi et al. (2021), *Big self-supervised models advance medical image classification*: pretraining on the hospital's own archive.
- Zeng et al. (2021), *Positional contrastive learning for volumetric medical image segmentation*: neighbouring slices as positives.
- Raghu et al. (2019), *Transfusion: understanding transfer learning for medical imaging*: what borrowed weights bring.
- Kermany et al. (2018): the X-rays. Yang et al. (2023), *MedMNIST v2*. Buda et al. (2019): the scans.
- Garrido et al. (2023), *RankMe*: the effective rank as a label-free check.
""")

md("records-heading", """
**The records.** The last cells write down what this run measured, in a form that tests and the README read.
""")

code("records", '''
record, record_scans = report.Recorder(xrays.name, xrays.source), report.Recorder(scans.name, scans.source)
record.scores(result, "auc")
for name, v in xray_pairs.items():
    record.difference(name, v)
record.saved("labels_saved/simclr_finetuned", saved, DRAWS)
record_scans.scores(scan_result, "auc", "mri_auc/{}")
for name, v in scan_pairs.items():
    record_scans.difference(name, v)
e = errors
record_scans(next(iter(scan_errors)), e.error_reduction, e.error_reduction_low, e.error_reduction_high, n=e.n, verdict=e)
record_scans.saved("mri_labels_saved/own", scan_saved, DRAWS)
''', "hide-input", "hide-output")

code("close", '''
report.Recorder(own.name, scans.source if not OWN_DATA else own.source).scores(own_result, "auc", "own_auc/{}")
for name, h in (("xrays", histories["X-rays", 0]), ("slices", histories["slices", 0])):
    record(f"seconds/pretrain_{name}", h.cpu_seconds, unit="CPU-s")
record("seconds/chapter", time.perf_counter() - chapter_start, unit="s")
record("peak_memory/chapter", parallel.peak_memory_mb(), unit="MB")
assert result.scores("auc").loc["simclr_probe", FEW] > result.scores("auc").loc["majority", FEW], "worse than guessing"
''', "hide-input", "hide-output")
