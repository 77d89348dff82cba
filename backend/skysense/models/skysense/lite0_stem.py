"""Convolutional stem with the layout of EfficientNet-Lite0 up to stride 16, whose weights it can inherit.

Tan and Le, "EfficientNet", ICML 2019; the Lite variants drop squeeze-and-excitation and use ReLU6. Blocks are timm's.
Why a stem: a Swin distilled from scratch in minutes stays far below its teacher, one that stands on the teacher's
layers starts from it.

Deep channels name what a cell shows and forget its colour and grain, which the first layer has seen: its activations
are oriented edges and colours after a rectifier, so that their means over a cell are what texture features count. They
join the deep channels of both strides.
"""

from __future__ import annotations

from functools import partial

import torch
import torch.nn.functional as F
from timm.models._efficientnet_blocks import DepthwiseSeparableConv, InvertedResidual
from torch import Tensor, nn

from ..layers import ChannelAffine, corner_pad

LITE0_WIDTHS = (40, 112)  # deep channels at strides 8 and 16
SHALLOW_WIDTH = 32  # of the first layer
STEM_WIDTHS = (LITE0_WIDTHS[0] + SHALLOW_WIDTH, LITE0_WIDTHS[1] + SHALLOW_WIDTH)
LITE0_PIXEL_MEAN, LITE0_PIXEL_STD = 127 / 255, 128 / 255  # of values 0..1
LITE0_SHIFT_PX = 3  # a cell sees what the original's cell sees this many pixels further up and left


class Lite0Stem(nn.Module):
    """(B, C, H, W) -> (B, h, w, 72) at stride 8 and (B, ceil(h / 2), ceil(w / 2), 144) at stride 16.

    TensorFlow's "SAME" padding puts the cells of the original 3.5 px right of and below the grid. Here the first two
    strided convolutions pad evenly, which moves the same features by `LITE0_SHIFT_PX` and leaves cells half a pixel
    off their centre, at stride 16 four.

    Batch statistics are frozen: small batches would spoil the inherited ones. `fine` and `coarse` bring the channels to
    mean 0 and deviation 1.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        norm = partial(nn.BatchNorm2d, eps=1e-3)
        separable = partial(DepthwiseSeparableConv, act_layer=nn.ReLU6, norm_layer=norm)
        inverted = partial(InvertedResidual, exp_ratio=6.0, act_layer=nn.ReLU6, norm_layer=norm)
        fine, coarse = LITE0_WIDTHS
        self.convolution = nn.Conv2d(channels, SHALLOW_WIDTH, kernel_size=3, stride=2, padding=1, bias=False)
        self.norm = norm(SHALLOW_WIDTH)
        self.activation = nn.ReLU6()
        self.to_8 = nn.Sequential(
            separable(SHALLOW_WIDTH, 16),
            inverted(16, 24, stride=2),
            inverted(24, 24),
            inverted(24, fine, dw_kernel_size=5, stride=2, pad_type="same"),
            inverted(fine, fine, dw_kernel_size=5),
        )
        self.to_16 = nn.Sequential(
            inverted(fine, 80, stride=2, pad_type="same"),
            inverted(80, 80),
            inverted(80, 80),
            inverted(80, coarse, dw_kernel_size=5),
            inverted(coarse, coarse, dw_kernel_size=5),
            inverted(coarse, coarse, dw_kernel_size=5),
        )
        self.fine, self.coarse = ChannelAffine(STEM_WIDTHS[0]), ChannelAffine(STEM_WIDTHS[1])
        self.train()  # a new module trains: freezes the statistics before anything passes through

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        fine, coarse = self.features(x)
        return self.fine(fine.permute(0, 2, 3, 1)), self.coarse(coarse.permute(0, 2, 3, 1))

    def features(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The channels as they are: (B, 72, h, w) and (B, 144, ceil(h / 2), ceil(w / 2)), deep ones first."""
        height, width = (-(-side // 8) for side in x.shape[-2:])
        first = self.activation(self.norm(self.convolution(corner_pad(x, 16))))
        deep = self.to_8(first)
        shallow = F.avg_pool2d(first, 4)
        wide = F.avg_pool2d(shallow, 4, stride=2, padding=1, count_include_pad=False)  # 32 pixels
        fine = torch.cat([deep, shallow], dim=1)[..., :height, :width]  # an odd map was padded to be halved
        return fine, torch.cat([self.to_16(deep), wide], dim=1)

    def train(self, mode: bool = True) -> Lite0Stem:
        super().train(mode)
        for layer in self.modules():
            if isinstance(layer, nn.BatchNorm2d):
                layer.eval()
        return self
