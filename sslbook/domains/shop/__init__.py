"""The shop: who took what, and which ten things to show next."""

import lazy_loader

RANKING = "Ranking evaluate_model evaluate_ranking ranking_method ranking_metrics ranking_study sampled_ranking".split()
RECOMMENDERS = "Blend EASE ItemKNN Markov MatrixFactorisation Popularity Pretrained RepeatPurchase".split()

# Each module is imported when one of its names is first used.
__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submodules=("catalog", "data"),
    submod_attrs={
        "data": ["Holdout", "Interactions", "item_histories"],
        "methods": [*RECOMMENDERS, "cooccurrence_vectors", "profiles"],
        "ranking": RANKING,
        "widgets": ["basket_picker", "recommend_with_reasons"],
    },
)
