"""Driving: frames of a car's camera with masks, and tracks of what moves."""

import lazy_loader

# Each module is imported when one of its names is first used.
__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submodules=("catalog", "data"),
    submod_attrs={
        "data": ["SceneSplit", "Scenes"],
        "methods": [
            "SceneRecipe",
            "SceneSegmenter",
            "cell_counts",
            "colour_trees",
            "dense_probe",
            "draw_frames",
            "enlarged_labels",
            "fit_segmenter",
            "found_metric",
            "frame_folds",
            "iou_metric",
            "moments",
            "pixel_features",
            "position_prior",
            "random_zoom",
            "segment",
        ],
        "motion": ["ade", "constant_turn_rate", "constant_velocity", "fde", "future_of", "ridge"],
        "regions": [
            "DISTANCE_BANDS",
            "Segmentation",
            "found_regions",
            "missed_region_rate",
            "recall_by_band",
            "region_counts",
            "region_recall",
            "regions",
            "segmentation",
        ],
        "tracks": ["FUTURE", "PAST", "TrackSplit", "Tracks", "centred"],
    },
)
