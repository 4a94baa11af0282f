"""The shop: who took what, and which ten things to show next."""

import lazy_loader

# Each module is imported when one of its names is first used.
__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submodules=("catalog", "data"),
    submod_attrs={
        "data": ["Holdout", "Interactions", "baskets", "item_histories"],
        "methods": [
            "Blend",
            "EASE",
            "ItemKNN",
            "Markov",
            "MatrixFactorisation",
            "Popularity",
            "Pretrained",
            "Recommender",
            "RepeatPurchase",
            "cooccurrence_vectors",
            "inverse_in_place",
            "profiles",
            "strongest",
            "visits",
            "z_scores",
        ],
        "purchases": ["Columns", "core_of", "read_log", "titles_of"],
        "ranking": ["Ranking", "Score", "evaluate_ranking", "sampled_ranking"],
        "widgets": ["basket_picker", "recommend_with_reasons"],
    },
)
