"""Glow as it is usually written with PyTorch, for `peers.py`; a process of its own loads this.

Affine coupling with a sigmoid scale, 1x1 convolutions by their LU factors, actnorm that the first
batch sets, networks of three convolutions, and a learned Gaussian where levels split: Kingma &
Dhariwal, "Glow", 2018. As in most public code images come as [B, C, H, W], Adam is PyTorch's own.
"""

import functools
import math
from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional

SCALE_OFFSET = 2.0  # a coupling's scale starts at sigmoid(2), as the paper's code has it


class ActNorm(nn.Module):
    """Each channel shifted and scaled."""

    def __init__(self, channels: int):
        super().__init__()
        self.shift = nn.Parameter(torch.zeros(1, channels, 1, 1))
        self.scale = nn.Parameter(torch.ones(1, channels, 1, 1))
        self.sees_first_batch = False

    def forward(self, x):
        if self.sees_first_batch:
            self.shift.data = -x.mean((0, 2, 3), keepdim=True)
            self.scale.data = 1.0 / (x.std((0, 2, 3), keepdim=True) + 1e-6)
        log_det = x.shape[2] * x.shape[3] * self.scale.abs().log().sum()
        return self.scale * (x + self.shift), log_det

    def inverse(self, y):
        return y / self.scale - self.shift


class InvertibleConv1x1(nn.Module):
    """A rotation of the channels to begin with, kept as P L (U + diag)."""

    def __init__(self, channels: int):
        super().__init__()
        rotation = torch.linalg.qr(torch.randn(channels, channels))[0]
        permutation, lower, upper = torch.linalg.lu(rotation)
        diagonal = torch.diagonal(upper)
        self.register_buffer("permutation", permutation)
        self.register_buffer("lower_mask", torch.tril(torch.ones_like(lower), -1))
        self.register_buffer("identity", torch.eye(channels))
        self.register_buffer("sign", torch.sign(diagonal))
        self.lower = nn.Parameter(lower)
        self.upper = nn.Parameter(torch.triu(upper, 1))
        self.log_diagonal = nn.Parameter(torch.log(torch.abs(diagonal)))

    def weight(self):
        lower = self.lower * self.lower_mask + self.identity
        upper = self.upper * self.lower_mask.T + torch.diag(self.sign * self.log_diagonal.exp())
        return self.permutation @ lower @ upper

    def forward(self, x):
        log_det = x.shape[2] * x.shape[3] * self.log_diagonal.sum()
        return functional.conv2d(x, self.weight()[..., None, None]), log_det

    def inverse(self, y):
        return functional.conv2d(y, self.weight().inverse()[..., None, None])


def zero_convolution(channels: int, outputs: int) -> nn.Conv2d:
    made = nn.Conv2d(channels, outputs, 3, padding=1)
    nn.init.zeros_(made.weight)
    nn.init.zeros_(made.bias)
    return made


class AffineCoupling(nn.Module):
    """Half of the channels, scaled and shifted by what the other half says."""

    def __init__(self, channels: int, num_hidden: int):
        super().__init__()
        self.network = nn.Sequential(
            nn.Conv2d(channels // 2, num_hidden, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(num_hidden, num_hidden, 1),
            nn.ReLU(),
            zero_convolution(num_hidden, channels),
        )

    def forward(self, x):
        kept, changed = x.chunk(2, 1)
        raw, shift = self.network(kept).chunk(2, 1)
        scale = torch.sigmoid(raw + SCALE_OFFSET)
        return torch.cat([kept, (changed + shift) * scale], 1), scale.log().sum((1, 2, 3))

    def inverse(self, y):
        kept, changed = y.chunk(2, 1)
        raw, shift = self.network(kept).chunk(2, 1)
        return torch.cat([kept, changed / torch.sigmoid(raw + SCALE_OFFSET) - shift], 1)


def squeeze(x):
    """Images [B, C, H, W] to [B, 4 C, H/2, W/2]."""
    return functional.pixel_unshuffle(x, 2)


class Glow(nn.Module):
    """Images [B, C, H, W] in [-1/2, 1/2) to latents of each level, and back."""

    def __init__(self, shape, num_levels: int, num_steps: int, num_hidden: int):
        super().__init__()
        self.image_shape = shape
        self.levels, self.priors, self.latent_shapes = nn.ModuleList(), nn.ModuleList(), []
        channels, height, width = shape
        for level in range(num_levels):
            channels, height, width = 4 * channels, height // 2, width // 2
            steps = []
            for _ in range(num_steps):
                steps += [
                    ActNorm(channels),
                    InvertibleConv1x1(channels),
                    AffineCoupling(channels, num_hidden),
                ]
            self.levels.append(nn.ModuleList(steps))
            if level < num_levels - 1:
                channels //= 2
                self.priors.append(zero_convolution(channels, 2 * channels))
            self.latent_shapes.append((channels, height, width))

    def log_prob(self, x):
        """Nats per image, [B], of images in [-1/2, 1/2)."""
        total = torch.zeros(len(x), device=x.device)
        for level, steps in enumerate(self.levels):
            x = squeeze(x)
            for step in steps:
                x, log_det = step(x)
                total = total + log_det
            if level < len(self.priors):
                x, latent = x.chunk(2, 1)
                mean, log_std = self.priors[level](x).chunk(2, 1)
            else:
                latent, mean, log_std = x, torch.zeros_like(x), torch.zeros_like(x)
            total = total + gaussian(latent, mean, log_std)
        return total

    def sample(self, num_images: int):
        """uint8 [num_images, C, H, W]."""
        noise = [torch.randn(num_images, *shape) for shape in self.latent_shapes]
        x = noise[-1]
        for level in reversed(range(len(self.levels))):
            if level < len(self.priors):
                mean, log_std = self.priors[level](x).chunk(2, 1)
                x = torch.cat([x, mean + log_std.exp() * noise[level]], 1)
            for step in reversed(self.levels[level]):
                x = step.inverse(x)
            x = functional.pixel_shuffle(x, 2)
        return ((x + 0.5) * 256).clamp(0, 255).to(torch.uint8)


def gaussian(x, mean, log_std):
    """Log-density, summed over all but the batch."""
    normal = -0.5 * math.log(2 * math.pi) - log_std - 0.5 * ((x - mean) / log_std.exp()) ** 2
    return normal.sum((1, 2, 3))


def dequantized(images):
    """uint8 to [-1/2, 1/2), with noise."""
    return (images + torch.rand(images.shape)) / 256 - 0.5


def bits_per_dim(log_prob, images):
    """Of the scaled images' log-densities, the mean over them."""
    return (8 - log_prob / (images[0].numel() * math.log(2))).mean()


def initialized(glow: Glow, images) -> Glow:
    """With actnorms from a batch."""
    norms = [module for module in glow.modules() if isinstance(module, ActNorm)]
    for norm in norms:
        norm.sees_first_batch = True
    with torch.no_grad():
        glow.log_prob(dequantized(images))
    for norm in norms:
        norm.sees_first_batch = False
    return glow


def functions(sizes: dict, num_hidden: int, compiled: bool) -> dict[str, Callable]:
    """Training step, log_prob and sampling, eager or under `torch.compile`.

    Args:
      sizes: `peers.SIZES`.
      num_hidden: channels.
      compiled: which.
    """
    torch.manual_seed(0)
    height, width, channels = sizes["image_shape"]
    batch = sizes["batch"]
    images = torch.randint(0, 256, (batch, channels, height, width), dtype=torch.uint8)
    glow = Glow((channels, height, width), sizes["levels"], sizes["steps"], num_hidden)
    initialized(glow, images)
    optimizer = torch.optim.Adam(glow.parameters(), 1e-4)
    change = torch.compile if compiled else (lambda function: function)
    density = change(lambda x: glow.log_prob(dequantized(x)))
    draw = change(functools.partial(glow.sample, batch))

    def train():
        optimizer.zero_grad()
        loss = bits_per_dim(density(images), images)
        loss.backward()
        optimizer.step()
        return loss.item()

    @torch.no_grad()
    def log_prob():
        return density(images).numpy()

    @torch.no_grad()
    def sample():
        return draw().numpy()

    name = "torch_compiled" if compiled else "torch"
    return {f"train_{name}": train, f"log_prob_{name}": log_prob, f"sample_{name}": sample}
