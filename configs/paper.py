"""The paper's experiments (Nalisnick et al., 2019): a family of models on a pair of image sets.

  python main.py --config=configs/paper.py:FAMILY,PAIR,small --workdir=runs/FAMILY_PAIR

FAMILY is glow, real_nvp, pixel_cnn or vae. PAIR is named by the set that is trained on:
fashion_mnist, judged on MNIST; cifar10, on SVHN and CIFAR-100; celeb_a, on SVHN; imagenet32, on
CIFAR-10, CIFAR-100 and SVHN. `small` is for two cores; without it the experiment has the paper's
size, for one GPU. Where TFDS cannot fetch SVHN, add
--config.data.out_of_distribution=array:SVHN.npy, which stands for its test images as an array.

Measured with `small`, on two cores: minutes of training, bits/dim of the own test images and of the
foreign ones (MNIST; SVHN), AUROC of likelihood; and the bits/dim that the paper has.

  FAMILY,PAIR              minutes   own    foreign   AUROC   paper's own, foreign
  glow,fashion_mnist         15      3.34    2.02     0.08    2.96, 1.83 (recalled, not checked)
  glow,cifar10                7      3.90    2.70     0.04    3.46, 2.39
  real_nvp,fashion_mnist      9      3.52    2.22     0.09
  real_nvp,cifar10            7      4.17    2.89     0.03
  pixel_cnn,fashion_mnist     9      3.01    1.56     0.05
  pixel_cnn,cifar10          10      3.98    2.79     0.05
  vae,fashion_mnist          22      3.51    2.10     0.10
  vae,cifar10                10      6.93    6.49     0.22

Glow's figures are means of three seeds. Most ran beside other work.

Glow of fashion_mnist for an hour, 15,000 steps at --config.train.learning_rate=3e-3 with
--config.model.num_hidden=128: 3.14, 1.87, AUROC 0.09; of validation images it had 3.68 after 5
minutes, 3.38 after 15 and 3.12 at the end. Of cifar10 for 40 minutes, 5,000 steps with the same
settings: 3.66, SVHN 2.50, AUROC 0.06; 3.94 after 5 minutes, 3.74 after 15 and 3.65 at the end.

VAEs with K = 50 and --config.data.num_test=1000; on fashion_mnist with
--config.model.decoder=logistic 6 minutes, 3.51, 2.30, AUROC 0.15.

On arrays that stand for the sets, 7,207 faces and 10,000 images of Tiny ImageNet, judged on SVHN,
beside other work:

  glow,celeb_a                9      3.96    2.81     0.02
  real_nvp,celeb_a            4      4.21    3.09     0.02
  pixel_cnn,celeb_a           9      4.09    2.87     0.02
  vae,celeb_a                14      6.55    6.99     0.79
  glow,imagenet32            17      4.04    2.99     0.07    (CIFAR-10 4.31, AUROC 0.64)
  real_nvp,imagenet32         4      4.44    3.17     0.03    (CIFAR-10 4.40, AUROC 0.49)
  pixel_cnn,imagenet32       11      4.26    3.11     0.07    (CIFAR-10 4.20, AUROC 0.48)
  vae,imagenet32              8      7.00    6.44     0.17    (CIFAR-10 6.91, AUROC 0.42)

Not run: every experiment at the paper's size (of the paper's PixelCNN and VAE there are histograms
only, in which all foreign sets are likelier: AUROC below 0.5).
"""

import ml_collections

from tfp_ood.experiments import arguments, experiment


def get_config(words: str = "") -> ml_collections.ConfigDict:
    """The experiment that `words` name: FAMILY,PAIR or FAMILY,PAIR,SIZE."""
    return experiment(*arguments(words, "FAMILY", "PAIR"))
