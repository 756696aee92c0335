"""The last layer of emotion: what the network says from pixels and what the visible expressions say, as two experts.

Both are read on a scale of their own, fitted on sources that the network was not trained on: what it says of its own
sources is right so often that a joint layer would only listen to that.
"""

from torch import Tensor, nn

from facial_attributes_ros.attributes import EMOTION, LABELS


class EmotionReadout(nn.Module):
    """An affine map of the pixels' log probabilities and of the visible expressions to emotion logits.

    Args:
        expressions: numbers of the second output; 0 for a network without it.
    """

    def __init__(self, expressions: int) -> None:
        super().__init__()
        classes = len(LABELS[EMOTION])
        self.pixels = nn.Linear(classes, classes)
        self.expression = nn.Linear(expressions, classes, bias=False) if expressions else None

    def forward(self, logits: Tensor, expressions: Tensor | None) -> Tensor:
        """Return logits (N, classes) for the head's logits (N, classes) and the expressions (N, expressions)."""
        read: Tensor = self.pixels(logits.log_softmax(dim=1))
        if self.expression is not None and expressions is not None:
            read = read + self.expression(expressions)
        return read
