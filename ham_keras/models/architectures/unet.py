"""U-Net (Ronneberger et al. 2015)."""

from __future__ import annotations

from functools import partial

from ham_keras.models.layers.convolution import Conv2D
from ham_keras.models.network import Network, SideOutput, downsample_masks
from ham_keras.models.qubvel import Unet, build_segmenter
from ham_keras.models.registry import ARCHITECTURES
from ham_keras.settings import Model

DECODER_STAGES = {2: 3, 4: 2, 8: 1}  # by downsampling factor


@ARCHITECTURES.register("unet")
def build_unet(settings: Model) -> Network:
    """Build segmentation_models' U-Net; deep supervision adds the lesion at 1/2, 1/4 and 1/8 of the size.

    Each side output is a 1x1 convolution of a decoder stage, with half the loss weight of the next larger output. This
    is nnU-Net's deep supervision (Isensee et al., Nature Methods 18, 2021), which also omits the lowest resolutions,
    except for the weights: here the lesion has weight 1, there the weights are divided by their sum.
    """
    model = build_segmenter(Unet, settings)
    sides = []
    for factor, stage in DECODER_STAGES.items() if settings.deep_supervision else ():
        features = model.get_layer(f"decoder_stage{stage}b_relu").output
        sides.append(
            SideOutput(
                name=f"deep_{factor}",
                logits=Conv2D(1, 1, name=f"deep_{factor}_conv")(features),
                weight=1 / factor,
                target=partial(downsample_masks, factor=factor),
            )
        )
    return Network(model.input, model.output, tuple(sides))
