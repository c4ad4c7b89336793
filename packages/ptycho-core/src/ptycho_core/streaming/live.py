"""What a backend gives for a stream: an object that patterns are added to."""

from typing import Any, Protocol

from numpy.typing import ArrayLike, NDArray
from ptycho_data import Reconstruction
from ptycho_physics import Canvas

__all__ = ["LiveObject"]


class LiveObject(Protocol):
    """An object that grows, such as `ptycho_torch.Reconstructor`."""

    @property
    def group_size(self) -> int:
        """Patterns that the network sees together."""

    @property
    def groups_per_step(self) -> int:
        """Number of groups that are best added together."""

    @property
    def joint(self) -> bool:
        """Whether patterns of a step are reconstructed together: few at once give less."""

    @property
    def count(self) -> int:
        """Number of patterns so far."""

    @property
    def canvas(self) -> Canvas:
        """Where the object lies on the object grid."""

    @property
    def object(self) -> NDArray[Any]:
        """The object (H, W) complex64 so far."""

    @property
    def coverage(self) -> NDArray[Any]:
        """Weight (H, W) float32 summed over the patches."""

    def add(self, patterns: ArrayLike, positions: ArrayLike) -> None:
        """Add patterns (k, N, N) at positions (k, 2); a batch that is refused changes nothing."""

    def result(self, **known: Any) -> Reconstruction:
        """Return the reconstruction, with what is known of the experiment."""
