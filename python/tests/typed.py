"""What type checkers make of the package: mypy checks this file, nothing runs it."""

from pathlib import Path
from typing import List, Tuple, Union

import numpy as np
from numpy.typing import NDArray

import beitle

Map = Union[NDArray[np.uint8], NDArray[np.uint16]]

model = beitle.Model(Path("model.beitle"), threads=2)
image: NDArray[np.uint8] = np.zeros((480, 640, 3), np.uint8)
out = np.zeros((480, 640), np.uint16)

plain: Map = model.segment(image, mode="slide", scales=[1, 1.5], labels={"road": 1})
given: NDArray[np.uint16] = model.segment("photo.jpg", out=out)
both: Tuple[Map, NDArray[np.uint8]] = model.segment(image, confidence=True, labels=[0] * 150, size=(60, 80))
colours: NDArray[np.uint8] = model.palette[plain]
logits: NDArray[np.float32] = model.logits(image)
names: List[str] = [prediction.name for prediction in model.classify(image, top=3)]
size: Tuple[int, int] = model.input_size
report: beitle.Report = beitle.convert("owner/name", "model.beitle", progress=lambda phase, done, total: None)

model.segment(image, mode="stretch")  # type: ignore[call-overload]
model.segment(3)  # type: ignore[call-overload]
model.path = Path("other")  # type: ignore[misc]
