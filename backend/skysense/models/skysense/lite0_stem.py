"""Convolutional stem with the layout of EfficientNet-Lite0 up to stride 8, whose weights it can inherit.

Tan and Le, "EfficientNet", ICML 2019; the Lite variants drop squeeze-and-excitation and use ReLU6. Blocks are timm's.
Why a stem: a Swin distilled from scratch in minutes stays far below its teacher, one that stands on the teacher's
first layers equals it.
"""

from __future__ import annotations

from functools import partial

from timm.models._efficientnet_blocks import DepthwiseSeparableConv, InvertedResidual
from torch import Tensor, nn

from ..layers import corner_pad

LITE0_WIDTH = 40  # channels at stride 8
LITE0_PIXEL_MEAN, LITE0_PIXEL_STD = 127 / 255, 128 / 255  # of values 0..1
LITE0_SHIFT_PX = 3  # a cell sees what the original's cell sees this many pixels further up and left


class Lite0Stem(nn.Module):
    """(B, C, H, W) -> (B, ceil(H / 8), ceil(W / 8), width).

    TensorFlow's "SAME" padding puts the cells of the original 3.5 px right of and below the grid. Here the first two
    strided convolutions pad evenly, which moves the same features by `LITE0_SHIFT_PX` and leaves cells half a pixel
    off their centre.

    Batch statistics are frozen: small batches would spoil the inherited ones.
    """

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        norm = partial(nn.BatchNorm2d, eps=1e-3)
        separable = partial(DepthwiseSeparableConv, act_layer=nn.ReLU6, norm_layer=norm)
        inverted = partial(InvertedResidual, exp_ratio=6.0, act_layer=nn.ReLU6, norm_layer=norm)
        self.convolution = nn.Conv2d(channels, 32, kernel_size=3, stride=2, padding=1, bias=False)
        self.norm = norm(32)
        self.activation = nn.ReLU6()
        self.blocks = nn.Sequential(
            separable(32, 16),
            inverted(16, 24, stride=2),
            inverted(24, 24),
            inverted(24, LITE0_WIDTH, dw_kernel_size=5, stride=2, pad_type="same"),
            inverted(LITE0_WIDTH, LITE0_WIDTH, dw_kernel_size=5),
        )
        self.projection = nn.Linear(LITE0_WIDTH, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.projection(self.features(x).permute(0, 2, 3, 1))

    def features(self, x: Tensor) -> Tensor:
        """The inherited channels: (B, 40, h, w)."""
        x = self.activation(self.norm(self.convolution(corner_pad(x, 8))))
        return self.blocks(x)

    def train(self, mode: bool = True) -> Lite0Stem:
        super().train(mode)
        for layer in self.modules():
            if isinstance(layer, nn.BatchNorm2d):
                layer.eval()
        return self
