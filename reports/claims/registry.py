"""Published claims as data.

A new claim is one entry here. `contrasts.CONTRASTS` holds the ways to choose cells and compare them, `kinds.KINDS` the
conditions on the difference; a new kind of test is one entry there. `verdicts` decides the claims. This module imports
nothing heavy, so that the names of a workload's claims are checked quickly.
"""

from __future__ import annotations

from reports.claims.claim import Claim, ClaimTest, Figure
from reports.stats.cells import TRAIN_ERROR

HE_2015 = "He et al. 2015 (arXiv 1512.03385)"
HE_2016 = "He et al. 2016 (arXiv 1603.05027)"


def _register(*claims: Claim) -> dict[str, Claim]:
    return {claim.id: claim for claim in claims}


def _cifar(network: str, printed: str, where: str) -> Figure:
    return Figure(network=network, dataset="cifar10", printed=printed, where=where)


def _imagenet(network: str, printed: str, where: str) -> Figure:
    return Figure(network=network, dataset="imagenet", printed=printed, where=where)


def _reaches(contrast: str, figure: Figure) -> tuple[ClaimTest, ...]:
    """Return the test, with the margin that five seeds and the paper's five runs can show after Holm: 0.75 points."""
    rule = "the mean differs from the published one by less than {margin}"
    return (ClaimTest(contrast=contrast, kind="absolute", rule=rule, margin=0.75, published=(figure,)),)


_MEAN_110 = Figure(network="resnet-110-A", dataset="cifar10", printed="6.61", where="Table 6", sd=0.16, runs=5)
_PRE_1001 = "preresnet-1001-B-bottleneck"
_OPTIONS = (
    _imagenet("resnet-34-A", "25.03", "Table 3"),
    _imagenet("resnet-34-B", "24.52", "Table 3"),
    _imagenet("resnet-34-C", "24.19", "Table 3"),
)

CLAIMS = _register(
    Claim(
        id="plain-degrades-with-depth",
        statement="Plain networks get worse with depth, in training error too.",
        brief="plain nets degrade with depth",
        source=f"{HE_2015}, section 4.2, Figure 6 left",
        needs="plain networks of two depths or more",
        tests=(
            ClaimTest(
                contrast="deepest against shallowest, plain",
                kind="ordering",
                rule="the deepest one's mean is above the shallowest one's",
                metric=TRAIN_ERROR,
            ),
        ),
    ),
    Claim(
        id="plain-test-error-grows",
        statement="The test error of plain networks grows with depth.",
        brief="plain nets' test error grows",
        source=f"{HE_2015}, section 4.1, Table 2; section 4.2, Figure 6 left",
        needs="plain networks of two depths or more",
        tests=(
            ClaimTest(
                contrast="deepest against shallowest, plain",
                kind="ordering",
                rule="the deepest one's mean is above the shallowest one's",
                published=(_imagenet("plain-18", "27.94", "Table 2"), _imagenet("plain-34", "28.54", "Table 3")),
            ),
        ),
    ),
    Claim(
        id="plain-110-fails",
        statement="The plain network of 110 layers ends above 60 % test error on CIFAR-10.",
        brief="plain-110 ends above 60 %",
        source=f"{HE_2015}, section 4.2",
        needs="the plain network of 110 layers on CIFAR-10, trained as in the paper",
        tests=(
            ClaimTest(
                contrast="plain-110 on CIFAR-10",
                kind="every seed above",
                rule="every seed's error is above 60 %",
                published=(_cifar("plain-110", ">60", "section 4.2"),),
            ),
        ),
    ),
    Claim(
        id="residual-does-not-degrade",
        statement="Residual networks do not get worse with depth: whatever the shortcut, the deepest one's training "
        "error is at most 1 point above the shallowest one's.",
        brief="residual nets do not degrade",
        source=f"{HE_2015}, section 4.2, Figure 6 middle",
        needs="residual networks of two depths or more",
        tests=(
            ClaimTest(
                contrast="deepest against shallowest, each shortcut",
                kind="not worse",
                rule="the deepest one's mean is not above the shallowest one's by more than {margin}",
                metric=TRAIN_ERROR,
                margin=1.0,
            ),
        ),
    ),
    Claim(
        id="residual-improves-to-110",
        statement="The test error of residual networks falls with depth, up to 110 layers.",
        brief="residual nets improve to 110 layers",
        source=f"{HE_2015}, section 4.2, Table 6",
        needs="CIFAR's residual networks with option A, of two depths or more up to 110",
        tests=(
            ClaimTest(
                contrast="deepest against shallowest up to 110 layers, option A",
                kind="ordering, lower",
                rule="the deepest one's mean is below the shallowest one's",
                published=(_cifar("resnet-20-A", "8.75", "Table 6"), _MEAN_110),
            ),
        ),
    ),
    Claim(
        id="residual-improves-on-imagenet",
        statement="On ImageNet the test error of residual networks falls with depth.",
        brief="residual nets improve on ImageNet",
        source=f"{HE_2015}, section 4.1, Table 3",
        needs="residual networks with option B on ImageNet, of two depths or more",
        tests=(
            ClaimTest(
                contrast="deepest against shallowest, option B on ImageNet",
                kind="ordering, lower",
                rule="the deepest one's mean is below the shallowest one's",
                published=(
                    _imagenet("resnet-34-B", "24.52", "Table 3"),
                    _imagenet("resnet-152-B", "21.43", "Table 3"),
                ),
            ),
        ),
    ),
    Claim(
        id="residual-beats-plain",
        statement="A residual network beats the plain one of the same depth, at the greatest depth that both have.",
        brief="residual beats plain at equal depth",
        source=f"{HE_2015}, section 4.1, Table 2",  # the table shows no difference at 18 layers
        needs="a residual and a plain network of the same depth",
        tests=(
            ClaimTest(
                contrast="plain against residual, at the greatest depth that both have",
                kind="ordering",
                rule="the plain one's mean is above the residual one's",
                published=(_imagenet("resnet-34-A", "25.03", "Table 3"), _imagenet("plain-34", "28.54", "Table 3")),
            ),
        ),
    ),
    Claim(
        id="options-differ-little",
        statement="Shortcut options A, B and C differ by less than half of the 3.51 points that shortcuts bring.",
        brief="A, B and C differ little",
        source=f"{HE_2015}, section 4.1, Table 3",
        needs="ImageNet's residual networks with options A, B and C, at one depth",
        tests=(
            ClaimTest(
                contrast="each two of A, B and C",
                kind="equivalence",
                rule="any two means differ by less than {margin}",
                margin=1.75,
                published=(_OPTIONS[0], _OPTIONS[2]),
                others=(_OPTIONS[1],),
            ),
        ),
    ),
    Claim(
        id="options-in-order",
        statement="Shortcut option C is better than B, and B better than A.",
        brief="C beats B, B beats A",
        source=f"{HE_2015}, section 4.1, Table 3",
        needs="ImageNet's residual networks with options A, B and C, at one depth",
        tests=(
            ClaimTest(
                contrast="A against B, B against C",
                kind="ordering",
                rule="A's mean is above B's, and B's above C's",
                published=(_OPTIONS[2], _OPTIONS[1]),
                others=(_OPTIONS[0],),
            ),
        ),
    ),
    Claim(
        id="resnet-1202-overfits",
        statement="1202 layers overfit: the training error is no worse than that of 110 layers, the test error is.",
        brief="1202 layers overfit",
        source=f"{HE_2015}, section 4.2, Table 6 and Figure 6 right",
        needs="residual networks of 110 and of 1202 layers with option A",
        tests=(
            ClaimTest(
                contrast="1202 layers against 110",
                kind="not worse",
                rule="the training error of 1202 layers is not above that of 110 by more than {margin}",
                metric=TRAIN_ERROR,
                margin=0.1,
                spread=0.05,  # errors below 0.1 % have no larger spread
            ),
            ClaimTest(
                contrast="1202 layers against 110",
                kind="ordering",
                rule="their test error is above it",
                published=(_MEAN_110, _cifar("resnet-1202-A", "7.93", "Table 6")),
            ),
        ),
    ),
    Claim(
        id="resnet-1202-fits-its-training-set",
        statement="The residual network of 1202 layers ends below 0.1 % training error on CIFAR-10.",
        brief="resnet-1202 fits its training set",
        source=f"{HE_2015}, section 4.2",
        needs="the residual network of 1202 layers on CIFAR-10, option A, trained as in the paper",
        tests=(
            ClaimTest(
                contrast="resnet-1202 on CIFAR-10",
                kind="every seed below",
                rule="every seed's error is below 0.1 %",
                metric=TRAIN_ERROR,
                published=(_cifar("resnet-1202-A", "<0.1", "section 4.2"),),
            ),
        ),
    ),
    Claim(
        id="resnet-110-reaches-published",
        statement="The residual network of 110 layers reaches the published mean of 6.61 % on CIFAR-10.",
        brief="resnet-110 reaches 6.61 %",
        source=f"{HE_2015}, section 4.2, Table 6",
        needs="the residual network of 110 layers on CIFAR-10, option A, trained and warmed up as in the paper",
        tests=_reaches("resnet-110 on CIFAR-10", _MEAN_110),
    ),
    Claim(
        id="bottleneck-50-costs-as-basic-34",
        statement="50 layers of bottlenecks cost about what 34 layers of basic blocks cost.",
        brief="bottleneck-50 costs as basic-34",
        source=f"{HE_2015}, section 4.1, Table 1 and Figure 5",
        needs="ImageNet's residual networks of 34 and of 50 layers with the same option",
        tests=(
            ClaimTest(
                contrast="bottleneck of 50 layers against basic of 34",
                kind="cost within",
                rule="their multiply-accumulates differ by less than {margin}",
                metric="model/macs",
                margin=10.0,
            ),
        ),
    ),
    Claim(
        id="resnet-152-costs-less-than-vgg-19",
        statement="152 residual layers cost less than VGG-19.",
        brief="resnet-152 costs less than VGG-19",
        source=f"{HE_2015}, section 4.1, Table 1",
        needs="ImageNet's residual network of 152 layers",
        tests=(
            ClaimTest(
                contrast="resnet-152 on ImageNet",
                kind="cost below",
                rule="it has fewer multiply-accumulates than VGG-19's 19.6 thousand million",
                metric="model/macs",
                published=(_imagenet("vgg19", "19.6", "Table 1"),),
            ),
        ),
    ),
    Claim(
        id="identity-beats-other-shortcuts",
        statement="The identity shortcut beats scaled, gated, projected and dropped ones.",
        brief="identity beats other shortcuts",
        source=f"{HE_2016}, section 3, Table 1",
        needs="a network with option A, and the same with another of the paper's shortcuts",
        tests=(
            ClaimTest(
                contrast="each other shortcut against the identity, all else equal",
                kind="ordering",
                rule="each other one's mean is above the identity's",
                published=(
                    _cifar("resnet-110-A", "6.61", "Table 1"),
                    _cifar("resnet-110-shortcut_gate-b-6", "6.91", "Table 1"),
                ),
            ),
        ),
    ),
    Claim(
        id="clean-addition-beats-unclean",
        statement="Batch norm or ReLU on the way from addition to addition makes a network worse.",
        brief="unclean additions make it worse",
        source=f"{HE_2016}, section 4.1, Table 2",
        needs="a residual network of original form, and the same with bn_after_add or relu_before_add",
        tests=(
            ClaimTest(
                contrast="unclean addition against original, all else equal",
                kind="ordering",
                rule="the unclean one's mean is above the original's",
                published=(
                    _cifar("resnet-164-B-bottleneck", "5.93", "Table 2"),
                    _cifar("resnet-164-B-bottleneck-relu_before_add", "6.14", "Table 2"),
                ),
            ),
        ),
    ),
    Claim(
        id="preactivation-beats-original",
        statement="Pre-activation beats the original order, all else equal.",
        brief="pre-activation beats original",
        source=f"{HE_2016}, section 4, Tables 2 and 3",
        needs="a network of original form, and the same with full_preact",
        tests=(
            ClaimTest(
                contrast="original against pre-activation, all else equal",
                kind="ordering",
                rule="the original's mean is above that of pre-activation",
                published=(_cifar("preresnet-110-A", "6.37", "Table 2"), _cifar("resnet-110-A", "6.61", "Table 1")),
            ),
        ),
    ),
    Claim(
        id="preactivation-gains-with-depth",
        statement="What pre-activation gains over the original order grows with depth.",
        brief="pre-activation's gain grows",
        source=f"{HE_2016}, section 4.1, Table 3",
        needs="networks of original form and with full_preact, all else equal, at two depths or more",
        tests=(
            ClaimTest(
                contrast="gain by pre-activation, greatest depth against least",
                kind="ordering",
                rule="the gain at the greatest depth is above that at the least",
                published=(
                    _cifar("preresnet-164-B-bottleneck", "5.46", "Table 2"),
                    _cifar("resnet-164-B-bottleneck", "5.93", "Table 2"),
                    _cifar(_PRE_1001, "4.92", "Table 3"),
                    _cifar("resnet-1001-B-bottleneck", "7.61", "Table 3"),
                ),
            ),
        ),
    ),
    Claim(
        id="preresnet-1001-reaches-published",
        statement="The pre-activation network of 1001 layers reaches the published mean of 4.89 % on CIFAR-10.",
        brief="preresnet-1001 reaches 4.89 %",
        source=f"{HE_2016}, section 5, Table 4",
        needs="the pre-activation network of 1001 layers on CIFAR-10, trained as in the paper in batches of 128",
        tests=_reaches(
            "preresnet-1001 on CIFAR-10",
            Figure(network=_PRE_1001, dataset="cifar10", printed="4.89", where="Table 4", sd=0.14, runs=5),
        ),
    ),
    Claim(
        id="preresnet-1001-reaches-published-in-batches-of-64",
        statement="The pre-activation network of 1001 layers, trained in batches of 64, reaches the published mean of "
        "4.69 % on CIFAR-10.",
        brief="preresnet-1001 in batches of 64 reaches 4.69 %",
        source=f"{HE_2016}, section 5, Table 4",
        needs="the pre-activation network of 1001 layers on CIFAR-10, trained as in the paper in batches of 64",
        tests=_reaches(
            "preresnet-1001 on CIFAR-10, batches of 64",
            Figure(network=_PRE_1001, dataset="cifar10", printed="4.69", where="Table 4", sd=0.20, runs=5),
        ),
    ),
    Claim(
        id="preresnet-1001-reaches-published-on-cifar-100",
        statement="The pre-activation network of 1001 layers reaches the published mean of 22.68 % on CIFAR-100.",
        brief="preresnet-1001 reaches 22.68 % on CIFAR-100",
        source=f"{HE_2016}, section 5, Table 4",
        needs="the pre-activation network of 1001 layers on CIFAR-100, trained as in the paper in batches of 128",
        tests=_reaches(
            "preresnet-1001 on CIFAR-100",
            Figure(network=_PRE_1001, dataset="cifar100", printed="22.68", where="Table 4", sd=0.22, runs=5),
        ),
    ),
)
