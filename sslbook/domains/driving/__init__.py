"""Driving: frames of a car's camera with masks."""

import lazy_loader

# Each module is imported when one of its names is first used.
__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submodules=("catalog", "data"),
    submod_attrs={
        "data": ["SceneSplit", "Scenes"],
        "methods": [
            "Segmentation",
            "draw_frames",
            "found_metric",
            "iou_metric",
            "pixel_features",
            "position_prior",
            "score_masks",
            "segmenter_method",
        ],
        "networks": ["Lite0Scenes", "SceneRecipe", "SceneSegmenter", "fit_segmenter", "segment"],
        "objects": ["DetectorRecipe", "boxes_of", "detect", "detector_method", "fit_detector", "size_and_distance"],
        "probes": ["dense_probe", "moments"],
    },
)
