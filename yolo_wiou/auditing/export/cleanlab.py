"""cleanlab, to judge the same labels by the same detections."""

from __future__ import annotations

import pickle

import numpy as np

from yolo_wiou.auditing.export.pictures import Files, class_names, pictures
from yolo_wiou.auditing.report import Report


def cleanlab(report: Report) -> Files:
    """What cleanlab.object_detection takes, pickled as in its tutorial: of every image the labels and the detections.

    Labels are a dict, detections an array that holds a table [x1, y1, x2, y2, confidence] for every class.
    """
    seen = report.seen
    names, found = class_names(report), pictures(report)
    starts = np.searchsorted(seen.image, np.arange(len(found) + 1))
    tables = np.column_stack([seen.box[:, :2], seen.box[:, :2] + seen.box[:, 2:], seen.confidence])
    labels, predictions = [], []
    for number, picture in enumerate(found):
        boxes = np.array([row.box for row in picture.labels], np.float64).reshape(-1, 4)
        boxes[:, 2:] += boxes[:, :2]
        classes = np.array([row.cls for row in picture.labels], np.int64)
        labels.append({"bboxes": boxes, "labels": classes, "image_name": picture.file})
        of = slice(*starts[number : number + 2])
        of_class = np.empty(len(names), object)
        for cls in range(len(names)):
            of_class[cls] = tables[of][seen.cls[of] == cls]
        predictions.append(of_class)
    return {"cleanlab_labels.pkl": pickle.dumps(labels), "cleanlab_predictions.pkl": pickle.dumps(predictions)}
