"""A convolutional variational autoencoder (Kingma & Welling, 2014), scored by importance sampling.

log p(x) >= E log 1/K sum_k p(x|z_k) p(z_k) / q(z_k|x), z_k from q: the bound of Burda et al.,
"Importance Weighted Autoencoders", 2016, equation 8. K = 1 makes it the ELBO.
"""

import math
from collections.abc import Mapping

import tensorflow as tf
import tensorflow_probability as tfp

from tfp_ood import units
from tfp_ood.families import VAEConfig
from tfp_ood.keras import keras
from tfp_ood.models import dequantize, pixels, whiteness
from tfp_ood.models.base import LikelihoodModel
from tfp_ood.models.halves import Part, in_halves
from tfp_ood.models.vae.networks import Decoder, Encoder

tfd = tfp.distributions

_NUM_COMPONENTS = 16  # of the mixture prior


class VAE(LikelihoodModel):
    """See the module; arguments as `models.BUILDERS`."""

    log_prob_kind = "bound"
    quick_samples = True

    def __init__(
        self, model: VAEConfig, image_shape: tuple[int, int, int], seed: int, precision: str
    ):
        super().__init__(image_shape, seed)
        self._options, self.couples_images = model, model.free_bits > 0
        self.pixels = pixels.LIKELIHOODS[model.decoder]()
        # Seeds are spread so that no two layers of a model start alike.
        self.encoder = Encoder(model, 1_000_003 * seed, precision)
        output_shape = (*image_shape, self.pixels.num_parameters)
        self.decoder = Decoder(model, output_shape, 1_000_003 * seed + 101, precision)
        if model.prior == "mixture":
            shape = [_NUM_COMPONENTS, model.num_latents]
            # Apart from each other, or all would learn the same.
            apart = keras.initializers.RandomNormal(stddev=1.0, seed=seed)
            self._mixture_loc = self.add_weight("mixture_loc", shape, initializer=apart)
            self._mixture_raw_scale = self.add_weight("mixture_scale", shape, initializer="zeros")
            self._mixture_logits = self.add_weight("mixture_logits", shape[:1], initializer="zeros")
        self._finish_build()

    def prior(self) -> tfd.Distribution:
        """The prior of a latent vector, `[L]`."""
        if self._options.prior == "gaussian":
            zeros = tf.zeros([self._options.num_latents])
            return tfd.Independent(tfd.Normal(zeros, 1.0), 1)
        components = tfd.Normal(self._mixture_loc, self._mixture_scale())
        return tfd.MixtureSameFamily(
            tfd.Categorical(logits=self._mixture_logits), tfd.Independent(components, 1)
        )

    def posterior(self, images: tf.Tensor) -> tfd.Distribution:
        """q(z|x) of uint8 images `[B, H, W, C]`: diagonal Gaussians, `[L]` with batch `[B]`."""
        scaled = tf.cast(images, tf.float32) / units.NUM_PIXEL_VALUES - 0.5
        return tfd.Independent(tfd.Normal(*self.encoder(scaled)), 1)

    def encode(self, images: tf.Tensor) -> tf.Tensor:
        """The mean latent of each of uint8 images `[B, H, W, C]`: float32 `[B, L]`."""
        return self.posterior(self._checked(images)).mean()

    def decode(self, latents: tf.Tensor) -> tf.Tensor:
        """The likeliest pixels given latents `[B, L]`: uint8 `[B, H, W, C]`."""
        return tf.cast(self.pixels.mode(self.decoder(latents)), tf.uint8)

    def reconstruct(self, images: tf.Tensor) -> tf.Tensor:
        """The likeliest pixels given each image's mean latent, uint8 `[B, H, W, C]`.

        Args:
          images: uint8 `[B, H, W, C]`.
        """
        return self.decode(self.encode(images))

    def _mixture_scale(self) -> tf.Tensor:
        return tf.math.softplus(self._mixture_raw_scale + math.log(math.e - 1.0)) + 1e-4

    def _reconstruction(self, images: tf.Tensor, latents: tf.Tensor) -> tf.Tensor:
        """log p(x|z), `[B]`."""
        log_probs = self.pixels.log_prob(self.decoder(latents), tf.cast(images, tf.int32))
        return tf.reduce_sum(log_probs, axis=[1, 2, 3])

    def _training_log_prob(
        self, images: tf.Tensor, labels: tf.Tensor | None, seed: tf.Tensor
    ) -> tf.Tensor:
        return self._of_batch(self._training_parts(images, labels, seed))

    def _training_parts(
        self, images: tf.Tensor, labels: tf.Tensor | None, seed: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        """log p(x|z) `[B]` and the KL from the prior `[B, L]`; under the mixture prior, where
        dimensions have no KL of their own, they are one group: `[B, 1]`."""
        posterior = self.posterior(images)
        normal = posterior.distribution
        noise = tf.random.stateless_normal(tf.shape(normal.loc), seed)
        latents = normal.loc + normal.scale * noise
        if self._options.prior == "mixture":
            kl = posterior.log_prob(latents) - self.prior().log_prob(latents)
            kl = kl[:, tf.newaxis]
        else:
            kl = tfd.kl_divergence(normal, self.prior().distribution)
        return {"reconstruction": self._reconstruction(images, latents), "kl": kl}

    def _of_batch(self, parts: dict[str, tf.Tensor]) -> tf.Tensor:
        kl = self._with_free_bits(parts["kl"]) if self.couples_images else parts["kl"]
        return parts["reconstruction"] - self._kl_weight() * tf.reduce_sum(kl, axis=-1)

    def _kl_weight(self) -> tf.Tensor | float:
        """Rises from 0 to 1 over the first `kl_warmup_steps` steps."""
        if not self._options.kl_warmup_steps:
            return 1.0
        step = tf.cast(self.optimizer.iterations, tf.float32)
        return tf.minimum(1.0, step / self._options.kl_warmup_steps)

    def _with_free_bits(self, kl: tf.Tensor) -> tf.Tensor:
        """What each group of latent dimensions costs, `[G]`, from the KL `[B, G]` of a batch.

        The mean over all images of the step, on whatever devices, costs at least `free_bits` nats
        for each dimension, so that nothing is gained below (Kingma et al., "Inverse Autoregressive
        Flow", 2016: free bits).
        """
        free = self._options.free_bits * self._options.num_latents / kl.shape[-1]
        mean = tf.reduce_mean(kl, axis=0)
        of_all, context = tf.stop_gradient(mean), tf.distribute.get_replica_context()
        if context is not None and context.num_replicas_in_sync > 1:
            of_all = context.all_reduce("MEAN", of_all)
        return tf.where(of_all > free, mean, free)

    def _draw(
        self, images: tf.Tensor, posterior: tfd.Distribution, draw: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, pixels.Told]:
        """log p(x|z) and log q(z|x) - log p(z), `[B]`, of a latent z that the image decides; and
        what its decoder tells of the pixels."""
        normal, size = posterior.distribution, self._options.num_latents
        noise = dequantize.content_normal(images, size, draw, self.seed)
        latents = normal.loc + normal.scale * noise
        kl = posterior.log_prob(latents) - self.prior().log_prob(latents)
        told = self.pixels.told(self.decoder(latents), tf.cast(images, tf.int32))
        return tf.reduce_sum(told.log_prob, axis=[1, 2, 3]), kl, told

    def _differentiable(self, images: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Of the pixels as the encoder reads them; those that are reconstructed are constants."""
        pixels = tf.cast(images, tf.float32)
        reconstruction, kl, _ = self._draw(images, self.posterior(pixels), tf.constant(0))
        return pixels, reconstruction - kl

    def _scores(self, images: tf.Tensor, num_draws: int) -> dict[str, tf.Tensor]:
        """log_prob and the bound's parts; L1 and L2 norms of the residual, and of the posterior's
        mean and scale (Huang et al., "Rethinking test-time likelihood: the likelihood path
        principle", 2024); and the tests of `whiteness` of the residual."""
        posterior, prior = self.posterior(images), self.prior()
        normal = posterior.distribution
        *first, told = self._draw(images, posterior, tf.constant(0))
        reconstruction, kl = (values[tf.newaxis] for values in first)
        if num_draws > 1:
            # One draw at a time: what is kept of each is two numbers per image.
            others = tf.map_fn(
                lambda draw: self._draw(images, posterior, draw)[:2],
                tf.range(1, num_draws),
                parallel_iterations=1,
                fn_output_signature=(tf.float32, tf.float32),
            )
            reconstruction = tf.concat([reconstruction, others[0]], 0)
            kl = tf.concat([kl, others[1]], 0)
        log_weights = reconstruction - kl
        mean_kl = tf.reduce_mean(kl, axis=0)
        if self._options.prior == "gaussian":
            mean_kl = tfd.kl_divergence(posterior, prior)
        residual, scores = self._residual(images, told)
        parts = {"residual": residual, "posterior_mean": normal.loc}
        parts["posterior_scale"] = normal.scale
        return {
            "log_prob": tf.reduce_logsumexp(log_weights, axis=0) - math.log(num_draws),
            "elbo": tf.reduce_mean(log_weights, axis=0),
            "kl": mean_kl,
            "reconstruction": tf.reduce_mean(reconstruction, axis=0),
            **_norms(parts),
            **whiteness.tests(scores, "residual"),
        }

    def _residual(self, images: tf.Tensor, told: pixels.Told) -> tuple[tf.Tensor, tf.Tensor]:
        """What is left of images when what the decoder expects is taken away.

        Of one draw of z from the posterior, not of its mean: were the model true and the posterior
        exact, x and z would be a draw of p(z) p(x|z), and the normal scores white noise. The draw
        is that of the likelihood, or the decoder, which most of the time goes to, would run twice.

        Args:
          images: uint8 `[B, H, W, C]`.
          told: of their values under p(x|z).

        Returns:
          x less the mean of p(x|z), with pixel values from 0 to 1, `[B, D]`; and the normal
          scores of the pixels given z, `[B, H, W, C]`.
        """
        residual = (tf.cast(images, tf.float32) - told.mean) / (units.NUM_PIXEL_VALUES - 1)
        noise = dequantize.content_noise(images, tf.constant(0), self.seed)
        scores = whiteness.normal_scores(told.below, tf.exp(told.log_prob), noise)
        return tf.reshape(residual, [-1, self.num_dims]), scores

    def _samples(self, num_images: tf.Tensor, seed: tf.Tensor, temperature: tf.Tensor) -> tf.Tensor:
        latent_seed, pixel_seed = tf.unstack(tf.random.experimental.stateless_split(seed, 2))
        latents = self._latent_samples(num_images, latent_seed, temperature)
        noise = tf.random.stateless_uniform([num_images, *self.image_shape], pixel_seed)

        def drawn(part: Part, number: tf.Tensor) -> Part:
            values = self.pixels.draw(self.decoder(part["latents"]), part["noise"])
            return {"images": tf.cast(values, tf.uint8)}

        return in_halves(drawn, {"latents": latents, "noise": noise})["images"]

    def _latent_samples(
        self, num_images: tf.Tensor, seed: tf.Tensor, temperature: tf.Tensor
    ) -> tf.Tensor:
        """From the prior with every standard deviation scaled, `[num_images, L]`."""
        noise_seed, component_seed = tf.unstack(tf.random.experimental.stateless_split(seed, 2))
        shape = tf.stack([num_images, self._options.num_latents])
        noise = temperature * tf.random.stateless_normal(shape, noise_seed)
        if self._options.prior == "gaussian":
            return noise
        components = tfd.Categorical(logits=self._mixture_logits)
        chosen = components.sample(num_images, seed=component_seed)
        scale = tf.gather(self._mixture_scale(), chosen)
        return tf.gather(self._mixture_loc, chosen) + scale * noise


def _norms(parts: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    """The sum of magnitudes, and the root of the sum of squares, of each of several `[B, N]`."""
    return {
        f"norm_{order}.{name}": tf.norm(values, order, axis=-1)
        for order in (1, 2)
        for name, values in parts.items()
    }
