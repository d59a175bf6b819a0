"""The Glow of the package normflows, put together as its own example does, for `peers.py`.

Without its example's classes: the base is a standard normal, and there is no Gaussian that is
conditioned where levels split, which makes it the lighter model.
"""

from collections.abc import Callable

import normflows as nf
import torch

from tests.benchmarks.torch_glow import bits_per_dim, dequantized


def build(sizes: dict, num_hidden: int) -> nf.MultiscaleFlow:
    """The model of `peers.SIZES`."""
    height, width, channels = sizes["image_shape"]
    levels = sizes["levels"]
    bases, merges, flows = [], [], []
    for level in range(levels):
        inside = channels * 2 ** (levels + 1 - level)
        blocks = [
            nf.flows.GlowBlock(inside, num_hidden, split_mode="channel", scale=True)
            for _ in range(sizes["steps"])
        ]
        flows.append([*blocks, nf.flows.Squeeze()])
        factor = 2 ** (levels - level)
        if level > 0:
            merges.append(nf.flows.Merge())
            shape = (channels * factor, height // factor, width // factor)
        else:
            shape = (2 * channels * factor, height // factor, width // factor)
        bases.append(nf.distributions.DiagGaussian(shape, trainable=False))
    return nf.MultiscaleFlow(bases, flows, merges)


def functions(sizes: dict, num_hidden: int) -> dict[str, Callable]:
    """Training step, log_prob and sampling; see `torch_glow.functions`."""
    torch.manual_seed(0)
    height, width, channels = sizes["image_shape"]
    batch = sizes["batch"]
    images = torch.randint(0, 256, (batch, channels, height, width), dtype=torch.uint8)
    glow = build(sizes, num_hidden)
    with torch.no_grad():
        glow.log_prob(dequantized(images), None)  # the first batch sets its actnorms
    optimizer = torch.optim.Adam(glow.parameters(), 1e-4)

    def train():
        optimizer.zero_grad()
        loss = bits_per_dim(glow.log_prob(dequantized(images), None), images)
        loss.backward()
        optimizer.step()
        return loss.item()

    @torch.no_grad()
    def log_prob():
        return glow.log_prob(dequantized(images), None).numpy()

    @torch.no_grad()
    def sample():
        drawn, _ = glow.sample(batch)
        return ((drawn + 0.5) * 256).clamp(0, 255).to(torch.uint8).numpy()

    return {
        "train_normflows": train,
        "log_prob_normflows": log_prob,
        "sample_normflows": sample,
    }
