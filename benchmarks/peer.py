"""The peer: segmentation_models_pytorch, as its users write it.

U-Net with a ResNet34 or MobileNet encoder in channels_last, Dice loss, Adam; files read by OpenCV, augmented by
albumentations, batched by torch's DataLoader.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import cv2
import numpy as np
import segmentation_models_pytorch as smp
import torch

from ham_keras.data.records import Record

Tensor = torch.Tensor
Pair = tuple[np.ndarray, np.ndarray]
ENCODERS = {"resnet34": "resnet34", "mobilenet": "tu-mobilenetv1_100"}  # ours: theirs; timm's MobileNet v1
MEAN = np.array([0.485, 0.456, 0.406], "float32")
STD = np.array([0.229, 0.224, 0.225], "float32")


class Lesions(torch.utils.data.Dataset[tuple[Tensor, Tensor]]):
    """Decodes, resizes, augments and normalises one pair per call, as in common tutorials.

    Returns a normalised image float32 [3, H, W] and a mask float32 [1, H, W] in {0, 1}. `augment` is an albumentations
    Compose. Two options differ from the tutorials: `averages` resizes images and masks by area instead of by sampled
    pixels, `held` keeps the decoded and resized pairs in memory.
    """

    def __init__(
        self,
        records: Sequence[Record],
        size_px: int,
        *,
        augment: Any = None,
        averages: bool = False,
        held: bool = False,
        mean: np.ndarray = MEAN,
        std: np.ndarray = STD,
    ) -> None:
        self.records = records
        self.mean, self.std = mean, std
        self.size = (size_px, size_px)
        self.augment = augment
        self.resizing = (cv2.INTER_AREA, cv2.INTER_AREA) if averages else (cv2.INTER_LINEAR, cv2.INTER_NEAREST)
        self.held: list[Pair] = [self.read(record) for record in records] if held else []

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        image, mask = self.held[index] if self.held else self.read(self.records[index])
        if self.augment is not None:
            both = self.augment(image=image, mask=mask)
            image, mask = both["image"], both["mask"]
        normalised = (image / np.float32(255) - self.mean) / self.std
        return torch.from_numpy(normalised.transpose(2, 0, 1)), torch.from_numpy(mask[None].astype("float32"))

    def read(self, record: Record) -> Pair:
        """Read uint8 RGB [H, W, 3] and mask [H, W] in {0, 1}, at the size of the network."""
        image = cv2.cvtColor(cv2.imread(str(record.image_path)), cv2.COLOR_BGR2RGB)
        mask = cv2.imread(str(record.mask_path), cv2.IMREAD_GRAYSCALE)
        small, mask = (
            cv2.resize(whole, self.size, interpolation=how)
            for whole, how in zip((image, mask), self.resizing, strict=True)
        )
        return small, (mask > 127).astype("uint8")


def build_network(backbone: str = "resnet34", *, channels_last: bool = True) -> torch.nn.Module:
    """Build a U-Net on "resnet34" or "mobilenet" with random weights: float32 [N, 3, H, W] to logits [N, 1, H, W]."""
    torch.manual_seed(0)
    network = smp.Unet(ENCODERS[backbone], encoder_weights=None, classes=1)
    return network.to(memory_format=torch.channels_last) if channels_last else network


def build_step(
    precision: str, *, compiled: bool, learning_rate: float = 1e-4, backbone: str = "resnet34"
) -> Callable[[Tensor, Tensor], float]:
    """Build a training step like Lightning's with 32-true or bf16-mixed; it maps images and masks to the loss."""
    network = build_network(backbone).train()
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
