"""The stack to beat: segmentation_models_pytorch, as its users write it.

U-Net with a ResNet34 encoder in channels_last, Dice loss, Adam; files read by OpenCV, augmented by albumentations,
batched by torch's DataLoader.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import segmentation_models_pytorch as smp
import torch

Tensor = torch.Tensor


def build_network(*, channels_last: bool = True) -> torch.nn.Module:
    """Unet-resnet34 with random weights: float32 [N, 3, H, W] to logits [N, 1, H, W]."""
    torch.manual_seed(0)
    network = smp.Unet("resnet34", encoder_weights=None, classes=1)
    return network.to(memory_format=torch.channels_last) if channels_last else network


def build_step(precision: str, *, compiled: bool, learning_rate: float = 1e-4) -> Callable[[Tensor, Tensor], float]:
    """One training step on images and masks, as Lightning makes it under 32-true or bf16-mixed; gives the loss."""
    network = build_network().train()
    forward: Any = torch.compile(network) if compiled else network
    dice = smp.losses.DiceLoss("binary")
    optimizer = torch.optim.Adam(network.parameters(), learning_rate)

    def step(images: Tensor, masks: Tensor) -> float:
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "mixed_bfloat16"):
            loss = dice(forward(images.contiguous(memory_format=torch.channels_last)), masks)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return float(loss.detach())

    return step
