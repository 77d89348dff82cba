from __future__ import annotations

import pytest
import torch

from skysense.models.skysense.swin_v2 import SwinBlock, SwinV2, SwinV2Config


def test_small_map_is_refused_where_padding_is_off() -> None:
    block = SwinBlock(8, 2, 4, shifted=True, pad_small_maps=False)
    with pytest.raises(ValueError, match="smaller than the window"):
        block(torch.zeros(1, 3, 9, 8))


def test_tables_of_a_model_without_memory_are_rebuilt() -> None:
    config = SwinV2Config(width=8, depths=(1, 1), heads=(2, 2), levels=(0, 1), window=(4, 2), pretrained_window=(6, 0))
    real = SwinV2(config)
    with torch.device("meta"):
        bare = SwinV2(config)
    bare.load_state_dict(real.state_dict(), assign=True)
    for module in bare.modules():
        if hasattr(module, "rebuild_buffers"):
            module.rebuild_buffers()
    x = torch.rand(1, 3, 40, 36)
    for found, expected in zip(bare.eval()(x), real.eval()(x)):
        assert torch.equal(found, expected)
