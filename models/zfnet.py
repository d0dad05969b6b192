"""ZFNet, which torchvision lacks (Zeiler and Fergus 2014, "Visualizing and Understanding Convolutional Networks")."""

from __future__ import annotations

from torch import nn


def zfnet(num_classes: int) -> nn.Sequential:
    """Build ZFNet: (batch, 3, 224, 224) -> (batch, num_classes). The padding gives the sizes in the paper's Figure 3.

    Sides after each layer: 110, pool 55, 26, pool 13, 13, 13, 13, pool 6. The paper normalizes contrast across feature
    maps and does not say how. Here it is AlexNet's local response normalization with its constants.
    """
    features = nn.Sequential(
        *_conv(3, 96, 7, stride=2, padding=1),
        nn.MaxPool2d(3, stride=2, ceil_mode=True),
        _contrast(),
        *_conv(96, 256, 5, stride=2),
        nn.MaxPool2d(3, stride=2, ceil_mode=True),
        _contrast(),
        *_conv(256, 384, 3, padding=1),
        *_conv(384, 384, 3, padding=1),
        *_conv(384, 256, 3, padding=1),
        nn.MaxPool2d(3, stride=2),
        nn.AdaptiveAvgPool2d(6),
    )
    classifier = nn.Sequential(
        *(nn.Flatten(), nn.Linear(256 * 6 * 6, 4096), nn.ReLU(inplace=True), nn.Dropout()),
        *(nn.Linear(4096, 4096), nn.ReLU(inplace=True), nn.Dropout()),
        nn.Linear(4096, num_classes),
    )
    net = nn.Sequential()
    net.add_module("features", features)
    net.add_module("classifier", classifier)
    return net


def _conv(
    in_channels: int, out_channels: int, kernel: int, stride: int = 1, padding: int = 0
) -> tuple[nn.Module, nn.Module]:
    conv = nn.Conv2d(in_channels, out_channels, kernel, stride=stride, padding=padding)
    return conv, nn.ReLU(inplace=True)


def _contrast() -> nn.Module:
    # Krizhevsky 2012, section 3.3.
    return nn.LocalResponseNorm(size=5, alpha=1e-4, beta=0.75, k=2)
