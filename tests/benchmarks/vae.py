"""Our VAE against the same one written plainly with TFP: `python -m tests.benchmarks.vae`.

Prints JSON. Both have the same networks, so that the numbers of parameters are equal; the plain one
takes its likelihoods from `tfd.Categorical` and `tfd.QuantizedDistribution`, and maps over K draws
of the posterior. The small config's size on 28x28x1. Training is a whole optimizer step of Adam;
log_prob is of uint8 images, with K = 1 and 50; sampling is of as many images. XLA is off: on CPUs
it made either about 2 to 19 times slower. Ours and plain run in turns in two processes, each with
the threads that suit it. Give the machine nothing else to do.
"""

import functools
import json
import math
import sys
from collections.abc import Callable

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tests.benchmarks import timing
from tests.benchmarks.glow import stock_training_step, training_step
from tfp_ood import models
from tfp_ood.config import Config, DataConfig, VAEConfig
from tfp_ood.models.vae.build import VAE

tfd = tfp.distributions

SHAPE = (28, 28, 1)
BATCHES = {"train": 64, "log_prob_1": 64, "log_prob_50": 32, "sample": 64}
DECODERS = ("categorical", "logistic")


class PlainVAE(VAE):
    """What one writes with TFP's distributions at hand."""

    def _reconstruction(self, images, latents):
        distribution = self.pixels.distribution(self.decoder(latents))
        images = tf.cast(images, distribution.dtype)
        return tfd.Independent(distribution, reinterpreted_batch_ndims=3).log_prob(images)

    def _training_log_prob(self, images, labels, seed):
        posterior = self.posterior(images)
        latents = posterior.sample(seed=seed)
        kl = tfd.kl_divergence(posterior, self.prior())
        return self._reconstruction(images, latents) - kl

    def _scores(self, images, num_draws):
        posterior, prior = self.posterior(images), self.prior()
        latents = posterior.sample(num_draws, seed=[0, self.seed])
        log_p = tf.map_fn(lambda z: self._reconstruction(images, z), latents)
        log_weights = log_p + prior.log_prob(latents) - posterior.log_prob(latents)
        return {"log_prob": tf.reduce_logsumexp(log_weights, axis=0) - math.log(num_draws)}

    def _samples(self, num_images, seed, temperature):
        latents = self.prior().sample(num_images, seed=seed)
        pixels = self.pixels.distribution(self.decoder(latents)).sample(seed=seed + 1)
        return tf.cast(pixels, tf.uint8)


def our_model(decoder: str) -> VAE:
    """The model of the product."""
    config = Config(data=DataConfig(image_shape=SHAPE), model=VAEConfig(decoder=decoder))
    return models.build(config)


def plain_model(decoder: str) -> VAE:
    """Its rival."""
    return PlainVAE(VAEConfig(decoder=decoder), SHAPE, 0, "float32")


def random_images(count: int) -> tf.Tensor:
    """A batch, uint8."""
    pixels = np.random.default_rng(0).integers(0, 256, (count, *SHAPE))
    return tf.constant(pixels, tf.uint8)


def functions(decoder: str, name: str) -> dict[str, Callable]:
    """Training step, log_prob and sampling of "ours" or "plain"."""
    build, step = {
        "ours": (our_model, training_step),
        "plain": (plain_model, stock_training_step),
    }[name]
    model = build(decoder)
    model.initialize(random_images(1))
    made = {
        f"train_{name}": step(model, random_images(BATCHES["train"]), xla=False),
        f"sample_{name}": lambda: model.sample(BATCHES["sample"]).numpy(),
    }
    for num_draws in (1, 50):
        task = f"log_prob_{num_draws}"
        made[f"{task}_{name}"] = scoring(model, random_images(BATCHES[task]), num_draws)
    return made


def scoring(model: VAE, images: tf.Tensor, num_draws: int) -> Callable:
    """log_prob of a batch; ours as the product calls it."""
    score = functools.partial(model.log_prob, num_draws=num_draws)
    if isinstance(model, PlainVAE):  # the whole batch at once
        score = tf.function(lambda x: model._scores(x, num_draws)["log_prob"], autograph=False)
    return lambda: score(images).numpy()


def compare(decoder: str) -> dict[str, object]:
    """Images/s of ours and of plain, and the ratios."""
    seconds = timing.rival_seconds(
        functools.partial(functions, decoder, "ours"),
        functools.partial(functions, decoder, "plain"),
        rounds=6,
    )
    speed = {
        f"{task}_{name}": count / seconds[f"{task}_{name}"]
        for task, count in BATCHES.items()
        for name in ("ours", "plain")
    }
    ratios = {
        f"{task}_ratio": round(speed[f"{task}_ours"] / speed[f"{task}_plain"], 2)
        for task in BATCHES
    }
    return {
        "decoder": decoder,
        "num_parameters": our_model(decoder).num_parameters(),
        "images_per_second": {name: round(value, 1) for name, value in speed.items()},
        **ratios,
    }


def main() -> None:
    """Prints the comparison of both decoders as JSON."""
    results = []
    for decoder in DECODERS:
        print(f"{decoder} decoder ...", file=sys.stderr)
        results.append(compare(decoder))
    sizes = {"image_shape": SHAPE, "batches": BATCHES, "baseline": "the same VAE in plain TFP"}
    print(json.dumps({**sizes, "results": results}, indent=2))


if __name__ == "__main__":
    main()
