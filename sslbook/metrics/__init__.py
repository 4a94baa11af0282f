"""Metrics: how good predictions are, for many weightings of the test cases at once."""

from sslbook.metrics.base import Metric, bootstrap_weights, percentiles
from sslbook.metrics.boxes import box_metric, detection_average_precision, score_boxes
from sslbook.metrics.classification import (
    Metrics,
    Prediction,
    attribute_metrics,
    average_precision,
    balanced_accuracy,
    classification_metrics,
    macro_average_precision,
    rare_finding_metrics,
    roc_auc,
)
from sslbook.metrics.ranking import Ranks, hit_rate_at_k, ndcg_at_k, recall_at_k, target_ranks
from sslbook.metrics.segmentation import confusion_counts, found_regions, iou, mean_iou, region_counts, region_recall
