"""A process with decoders that prints the number of its batches, then waits to be killed.

python -m tests.unit.workloads.decoding_parent ROOT DESCRIPTORS
"""

import resource
import sys
import time

import torch

from workloads.datasets.imagenet import ImageNet


def main(root: str, descriptors: int) -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, descriptors))
    data = ImageNet(root=root, subset="photos", image_size=32, decoders=2).load(torch.device("cpu"))
    found = list(data.evaluation_batches("train", batch_size=20, rank=0, world_size=1, scale=40))
    print(sum(len(labels) for _, labels in found), flush=True)
    time.sleep(600)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
