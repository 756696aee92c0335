"""Visible expressions: what a face shows, without inferring anything from it.

They are the blendshapes of Apple's ARKit as MediaPipe's face landmarker gives them, left and right averaged, and the
head's yaw and pitch. Those that the landmarker never gives (a puffed cheek, a wrinkled nose) are left out, and so is
where the eyes look sideways.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

EXPRESSION: Final = "expression"
"""Name of the output; it is no task: it has numbers instead of classes."""
BLENDSHAPES: Final = (
    "browDown", "browInnerUp", "browOuterUp",
    "eyeBlink", "eyeLookDown", "eyeLookUp", "eyeSquint", "eyeWide",
    "jawOpen", "mouthClose", "mouthDimple", "mouthFrown", "mouthFunnel", "mouthLowerDown", "mouthPress", "mouthPucker",
    "mouthRollLower", "mouthRollUpper", "mouthShrugLower", "mouthShrugUpper", "mouthSmile", "mouthStretch",
    "mouthUpperUp",
)  # fmt: skip
EXPRESSIONS: Final = (*BLENDSHAPES, "yaw", "pitch")
"""Numbers of the output, in this order."""
YAW: Final = EXPRESSIONS.index("yaw")
DEGREES: Final = 30.0
"""Degrees of yaw or pitch that are one unit of the output."""


def expression_outputs(scores: NDArray[np.floating], degrees: NDArray[np.floating]) -> NDArray[np.float32]:
    """Return what the network should give for known expressions, float32 (N, expressions).

    The network learns square roots: most blendshapes are near 0 nearly always, and differ there.

    Args:
        scores: (N, blendshapes), 0 to 1, in the order of `BLENDSHAPES`.
        degrees: (N, 2): yaw and pitch of the head.
    """
    return np.concatenate([np.sqrt(scores), np.asarray(degrees) / DEGREES], axis=1).astype(np.float32)


def expression_values(outputs: NDArray[np.floating]) -> NDArray[np.float32]:
    """Return blendshapes, 0 to 1, and yaw and pitch in degrees for what the network gives, both (N, expressions)."""
    values = np.array(outputs, np.float32)
    shapes = len(BLENDSHAPES)
    values[:, :shapes] = np.clip(values[:, :shapes], 0, 1) ** 2
    values[:, shapes:] *= DEGREES
    return values
