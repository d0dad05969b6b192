"""A process with decoders that prints the number of its images, then waits to be killed.

python -m tests.unit.workloads.decoding_parent ROOT DESCRIPTORS [hang]

With `hang`, its decoders are stopped before, and answer nothing any more.
"""

import os
import resource
import sys
import time

import psutil
import torch

from workloads.datasets.imagenet import ImageNet


def main(root: str, descriptors: int, *, hang: bool) -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, descriptors))
    data = ImageNet(root=root, subset="photos", image_size=32, decoders=2).load(torch.device("cpu"))
    found = list(data.evaluation_batches("train", batch_size=20, rank=0, world_size=1, scale=40))
    for child in psutil.Process().children(recursive=True) if hang else ():
        if child.ppid() != os.getpid():  # a child of the fork server
            child.suspend()
    print(sum(len(labels) for _, labels in found), flush=True)
    time.sleep(600)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), hang="hang" in sys.argv[3:])
