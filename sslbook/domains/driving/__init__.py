"""Driving: frames of a car's camera with masks, and tracks of what moves."""

import lazy_loader

# Each module is imported when one of its names is first used.
__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submodules=("catalog", "data"),
    submod_attrs={
        "data": ["SceneSplit", "Scenes"],
        "methods": [
            "Segmentation",
            "colour_trees",
            "draw_frames",
            "found_metric",
            "iou_metric",
            "pixel_features",
            "position_prior",
            "score_masks",
            "segmenter_method",
        ],
        "motion": ["ade", "constant_turn_rate", "constant_velocity", "fde", "future_of", "ridge"],
        "networks": ["SceneRecipe", "SceneSegmenter", "fit_segmenter", "segment"],
        "objects": [
            "Boxes",
            "Detection",
            "Detector",
            "DetectorRecipe",
            "average_precision",
            "average_precision_by_size",
            "box_metric",
            "boxes_of",
            "detect",
            "detector_method",
            "fit_detector",
            "recall_by_distance",
            "score_boxes",
            "targets_of",
        ],
        "probes": ["dense_probe", "moments"],
        "tracks": ["FUTURE", "PAST", "TrackSplit", "Tracks", "centred"],
    },
)
