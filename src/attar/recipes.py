"""The table: every published variant is one expression of parts.

To add a variant, add a row. The command line's choices, the page of recipes, the citations and the
tests are all made from this table.
"""

from __future__ import annotations

from collections.abc import Iterator

from attar.bounds import Capacity, Combined, ImportanceWeighted, Multiple, Partial
from attar.codes import (
    BatchTopK,
    BernoulliBits,
    FiniteScalar,
    Flowed,
    Gated,
    Gaussian,
    Gumbel,
    Hamiltonian,
    Hierarchical,
    InverseAutoregressive,
    JumpRelu,
    Ladder,
    LookupFree,
    Matryoshka,
    Ordered,
    Planar,
    Poincare,
    Point,
    ProductQuantized,
    ResidualQuantized,
    Riemannian,
    SimVQ,
    SparseKL,
    SparseL1,
    Sphere,
    TopK,
    TwoLevels,
    VectorQuantized,
)
from attar.conditions import Joined
from attar.corruptions import Masking, Patches
from attar.errors import unknown
from attar.likelihoods import MultiScaleSimilarity
from attar.penalties import (
    L2,
    Adversarial,
    CodeNorm,
    Contractive,
    DecoderGradient,
    DecoderWeights,
    DipI,
    DipII,
    Discrepancy,
    LearnedSimilarity,
    Permuted,
    Sliced,
    TotalCorrelation,
)
from attar.priors import Mixture, NormalizingFlow, StandardNormal, Vamp
from attar.recipe import Recipe, Row
from attar.sampling import Autoregressive, Manifold, TwoStage

TABLE: dict[str, Row] = {
    "ae": Row(
        Recipe(Point()),
        "The plain autoencoder: a small code, and the least error.",
        "Hinton and Salakhutdinov, Reducing the dimensionality of data with neural networks, "
        "Science 313, 2006.",
    ),
    "denoising": Row(
        Recipe(Point(), corruption=Masking(0.25)),
        "Sees damaged rows and must bring back the clean ones.",
        "Vincent, Larochelle, Bengio and Manzagol, Extracting and composing robust features with "
        "denoising autoencoders, ICML 2008.",
    ),
    "masked": Row(
        Recipe(Point(), corruption=Patches()),
        "Whole patches are hidden, and only these must be brought back from the rest.",
        "He, Chen, Xie, Li, Dollár and Girshick, Masked autoencoders are scalable vision learners, "
        "CVPR 2022.",
    ),
    "sparse-l1": Row(
        Recipe(SparseL1(beta=0.1), penalties=(L2(1e-4),)),
        "Few units are active for any row, since activity has its price.",
        "Olshausen and Field, Emergence of simple-cell receptive field properties by learning a "
        "sparse code for natural images, Nature 381, 1996.",
    ),
    "sparse-kl": Row(
        Recipe(SparseKL(target=0.1, beta=1.0)),
        "Each unit is drawn to the same small mean activity.",
        "Ng, Sparse autoencoder, CS294A lecture notes, Stanford 2011.",
    ),
    "sparse-topk": Row(
        Recipe(TopK(k=8)),
        "ReLU of the k largest units of a row; an auxiliary loss (Gao et al.) trains idle units.",
        "Makhzani and Frey, k-Sparse autoencoders, ICLR 2014. Gao et al., Scaling and evaluating "
        "sparse autoencoders, ICLR 2025.",
    ),
    "sparse-batchtopk": Row(
        Recipe(BatchTopK()),
        "The largest units of a whole batch are kept: a row that has more to say may use more.",
        "Bussmann, Leask and Nanda, BatchTopK sparse autoencoders, NeurIPS workshop 2024.",
    ),
    "sparse-jumprelu": Row(
        Recipe(JumpRelu()),
        "A unit is active above a threshold of its own, and each active unit has its price.",
        "Rajamanoharan et al., Jumping ahead: improving reconstruction fidelity with JumpReLU "
        "sparse autoencoders, arXiv 2024.",
    ),
    "sparse-gated": Row(
        Recipe(Gated(), penalties=(L2(1e-4),)),
        "Whether a unit is active and how much are learnt apart: the price shrinks nothing.",
        "Rajamanoharan et al., Improving dictionary learning with gated sparse autoencoders, "
        "NeurIPS 2024.",
    ),
    "matryoshka": Row(
        Recipe(Matryoshka()),
        "A sparse dictionary whose first parts are dictionaries too, from the general to the fine.",
        "Bussmann, Nabeshima, Karvonen and Nanda, Learning multi-level features with Matryoshka "
        "sparse autoencoders, ICML 2025.",
    ),
    "contractive": Row(
        Recipe(Point("sigmoid"), penalties=(Contractive(0.1),)),
        "The code hardly moves when the row moves a little.",
        "Rifai, Vincent, Muller, Glorot and Bengio, Contractive auto-encoders: explicit invariance "
        "during feature extraction, ICML 2011.",
    ),
    "rae-l2": Row(
        Recipe(Point(), penalties=(CodeNorm(), DecoderWeights())),
        "Codes are kept small and the decoder smooth by its weights, so that new data can be made.",
        "Ghosh, Sajjadi, Vergari, Black and Schölkopf, From variational to deterministic "
        "autoencoders, ICLR 2020.",
    ),
    "rae-gp": Row(
        Recipe(Point(), penalties=(CodeNorm(), DecoderGradient())),
        "Codes are kept small and the decoder smooth by its slope, so that new data can be made.",
        "Ghosh, Sajjadi, Vergari, Black and Schölkopf, From variational to deterministic "
        "autoencoders, ICLR 2020.",
    ),
    "wae-mmd": Row(
        Recipe(Point(prior=StandardNormal()), penalties=(Discrepancy(),)),
        "All codes together are drawn to a normal, by the distance of their kernel means.",
        "Tolstikhin, Bousquet, Gelly and Schölkopf, Wasserstein auto-encoders, ICLR 2018.",
    ),
    "swae": Row(
        Recipe(Point(prior=StandardNormal()), penalties=(Sliced(),)),
        "All codes together are drawn to a normal, by their distance in random directions.",
        "Kolouri, Pope, Martin and Rohde, Sliced Wasserstein auto-encoders, ICLR 2019.",
    ),
    "aae": Row(
        Recipe(Point(prior=StandardNormal()), penalties=(Adversarial(),)),
        "All codes together are drawn to a normal, by a critic that learns to tell them apart.",
        "Makhzani, Shlens, Jaitly, Goodfellow and Frey, Adversarial autoencoders, ICLR workshop "
        "2016.",
    ),
    "ordered": Row(
        Recipe(Ordered()),
        "The numbers come in order of what they carry: the first k are a code, for every k.",
        "Rippel, Gelbart and Adams, Learning ordered representations with nested dropout, ICML "
        "2014.",
    ),
    "vae": Row(
        Recipe(Gaussian()),
        "Each code is a gaussian drawn to a common one, so that new data can be made.",
        "Kingma and Welling, Auto-encoding variational Bayes, ICLR 2014.",
    ),
    "beta-vae": Row(
        Recipe(Gaussian(beta=4.0)),
        "A variational autoencoder that pays more for its code, to separate its factors.",
        "Higgins et al., beta-VAE: learning basic visual concepts with a constrained variational "
        "framework, ICLR 2017.",
    ),
    "annealed-vae": Row(
        Recipe(Gaussian(beta=10.0), bound=Capacity(20.0)),
        "A beta-VAE whose code may carry more and more as training goes on.",
        "Burgess et al., Understanding disentangling in beta-VAE, NeurIPS workshop 2017.",
    ),
    "beta-tcvae": Row(
        Recipe(Gaussian(), penalties=(TotalCorrelation(),)),
        "Pays more for what the numbers of a code have in common, to separate its factors.",
        "Chen, Li, Grosse and Duvenaud, Isolating sources of disentanglement in variational "
        "autoencoders, NeurIPS 2018.",
    ),
    "factor-vae": Row(
        Recipe(Gaussian(), penalties=(Permuted(),)),
        "VAE with a critic's total correlation; unlike the paper, the critic permutes the batch "
        "itself, not a second one, and takes the VAE's step size.",
        "Kim and Mnih, Disentangling by factorising, ICML 2018.",
    ),
    "dip-vae-i": Row(
        Recipe(Gaussian(), penalties=(DipI(),)),
        "The means of all codes together are drawn to be uncorrelated.",
        "Kumar, Sattigeri and Balakrishnan, Variational inference of disentangled latent concepts "
        "from unlabeled observations, ICLR 2018.",
    ),
    "dip-vae-ii": Row(
        Recipe(Gaussian(), penalties=(DipII(),)),
        "All codes together are drawn to be uncorrelated.",
        "Kumar, Sattigeri and Balakrishnan, Variational inference of disentangled latent concepts "
        "from unlabeled observations, ICLR 2018.",
    ),
    "info-vae": Row(
        Recipe(Gaussian(beta=0.5), penalties=(Discrepancy(),)),
        "Pays less for each code, and more where all codes together stray from the prior.",
        "Zhao, Song and Ermon, InfoVAE: balancing learning and inference in variational "
        "autoencoders, AAAI 2019.",
    ),
    "iwae": Row(
        Recipe(Gaussian(), bound=ImportanceWeighted(5)),
        "Several draws of each code, weighed by how well they explain the row: a tighter bound.",
        "Burda, Grosse and Salakhutdinov, Importance weighted autoencoders, ICLR 2016.",
    ),
    "miwae": Row(
        Recipe(Gaussian(), bound=Multiple(3, 3)),
        "The mean of several importance weighted bounds, from which the encoder learns better.",
        "Rainforth et al., Tighter variational bounds are not necessarily better, ICML 2018.",
    ),
    "piwae": Row(
        Recipe(Gaussian(), bound=Partial(3, 3)),
        "The decoder learns from one tight bound, the encoder from several looser ones.",
        "Rainforth et al., Tighter variational bounds are not necessarily better, ICML 2018.",
    ),
    "ciwae": Row(
        Recipe(Gaussian(), bound=Combined(0.05, 5)),
        "A mean of the plain bound and the importance weighted one.",
        "Rainforth et al., Tighter variational bounds are not necessarily better, ICML 2018.",
    ),
    "conditional": Row(
        Recipe(Gaussian(), condition=Joined()),
        "Is told a label or a table besides, and makes new rows for any of them.",
        "Sohn, Lee and Yan, Learning structured output representation using deep conditional "
        "generative models, NeurIPS 2015.",
    ),
    "msssim-vae": Row(
        Recipe(Gaussian(), likelihood=MultiScaleSimilarity()),
        "Measures the error of images as the eye does: by structure, at several scales.",
        "Snell et al., Learning to generate images with perceptual similarity metrics, ICIP 2017.",
    ),
    "vae-gan": Row(
        Recipe(Gaussian(), penalties=(LearnedSimilarity(),)),
        "VAE with a discriminator's features; unlike the paper, the likelihood of pixels stays in "
        "the loss, and the discriminator has a gradient penalty.",
        "Larsen, Sønderby, Larochelle and Winther, Autoencoding beyond pixels using a learned "
        "similarity metric, ICML 2016.",
    ),
    "vamp": Row(
        Recipe(Gaussian(prior=Vamp())),
        "Codes are expected where the encoder puts some made-up rows, which are learnt.",
        "Tomczak and Welling, VAE with a VampPrior, AISTATS 2018.",
    ),
    "mixture-prior": Row(
        Recipe(Gaussian(prior=Mixture())),
        "Codes are expected in a learnt mixture of gaussians: clusters for free.",
        "Jiang et al., Variational deep embedding: an unsupervised and generative approach to "
        "clustering, IJCAI 2017.",
    ),
    "flow-prior": Row(
        Recipe(Gaussian(prior=NormalizingFlow())),
        "Codes are expected where a learnt flow puts a normal's draws.",
        "Chen et al., Variational lossy autoencoder, ICLR 2017.",
    ),
    "linnf": Row(
        Recipe(Flowed(flow=Planar())),
        "The gaussian of each row is bent by planar flows that the encoder chooses.",
        "Rezende and Mohamed, Variational inference with normalizing flows, ICML 2015.",
    ),
    "iaf": Row(
        Recipe(Flowed(flow=InverseAutoregressive())),
        "The gaussian of each row is bent by autoregressive flows.",
        "Kingma et al., Improving variational inference with inverse autoregressive flow, NeurIPS "
        "2016.",
    ),
    "two-stage": Row(
        Recipe(Gaussian(), sampler=TwoStage()),
        "New codes come from a second VAE; unlike the paper, it is trained on standardized "
        "posterior means, not on draws.",
        "Dai and Wipf, Diagnosing and enhancing VAE models, ICLR 2019.",
    ),
    "ladder": Row(
        Recipe(Ladder()),
        "Codes at several levels, each expected where the levels above it say.",
        "Sønderby, Raiko, Maaløe, Sønderby and Winther, Ladder variational autoencoders, NeurIPS "
        "2016.",
    ),
    "hvae": Row(
        Recipe(Hamiltonian()),
        "Codes roll down the slope of their likelihood before they are decoded.",
        "Caterini, Doucet and Sejdinovic, Hamiltonian variational auto-encoder, NeurIPS 2018.",
    ),
    "rhvae": Row(
        Recipe(Riemannian(), sampler=Manifold()),
        "As hvae, with a geometry that is learnt from the data; new codes follow it.",
        "Chadebec, Mantoux and Allassonnière, Geometry-aware Hamiltonian variational auto-encoder, "
        "arXiv 2020.",
    ),
    "svae": Row(
        Recipe(Sphere()),
        "Codes lie on a sphere, in von Mises-Fisher distributions.",
        "Davidson, Falorsi, De Cao, Kipf and Tomczak, Hyperspherical variational auto-encoders, "
        "UAI 2018.",
    ),
    "poincare": Row(
        Recipe(Poincare()),
        "Codes lie in a hyperbolic ball, which has room for trees.",
        "Mathieu, Le Lan, Maddison, Tomioka and Teh, Continuous hierarchical representations with "
        "Poincaré variational auto-encoders, NeurIPS 2019.",
    ),
    "vq-vae": Row(
        Recipe(VectorQuantized(), sampler=Autoregressive()),
        "A code of symbols: each is an entry of one learnt codebook.",
        "Van den Oord, Vinyals and Kavukcuoglu, Neural discrete representation learning, NeurIPS "
        "2017.",
    ),
    "vq-vae-2": Row(
        Recipe(TwoLevels(), sampler=Autoregressive()),
        "Symbols at two levels: the lower ones say what the upper ones leave open.",
        "Razavi, Van den Oord and Vinyals, Generating diverse high-fidelity images with VQ-VAE-2, "
        "NeurIPS 2019.",
    ),
    "rvq": Row(
        Recipe(ResidualQuantized(), sampler=Autoregressive()),
        "Symbols in stages: each quantizes what the stages before it left over.",
        "Zeghidour et al., SoundStream: an end-to-end neural audio codec, TASLP 30, 2021.",
    ),
    "hrq": Row(
        Recipe(Hierarchical(), sampler=Autoregressive()),
        "Symbols in a hierarchy, from coarse to fine, any first few of which are a code.",
        "Hosking, Tang and Lapata, Hierarchical sketch induction for paraphrase generation, ACL "
        "2022.",
    ),
    "pq": Row(
        Recipe(ProductQuantized(), sampler=Autoregressive()),
        "A code of symbols, each of a codebook of its own.",
        "Jégou, Douze and Schmid, Product quantization for nearest neighbor search, TPAMI 33, "
        "2011.",
    ),
    "fsq": Row(
        Recipe(FiniteScalar(evenness=1.0), sampler=Autoregressive()),
        "Features bounded by tanh and rounded to fixed levels; unlike the paper, with the KL of "
        "each feature in a batch to N(0, 1).",
        "Mentzer, Minnen, Agustsson and Tschannen, Finite scalar quantization: VQ-VAE made simple, "
        "ICLR 2024.",
    ),
    "lfq": Row(
        Recipe(LookupFree(), sampler=Autoregressive()),
        "Only the signs of numbers are kept, and all signs are kept in use.",
        "Yu et al., Language model beats diffusion: tokenizer is key to visual generation, ICLR "
        "2024.",
    ),
    "simvq": Row(
        Recipe(SimVQ(), sampler=Autoregressive()),
        "A random codebook that one learnt map turns and stretches, so that no entry dies.",
        "Zhu et al., Addressing representation collapse in vector quantized models with one linear "
        "layer, ICCV 2025.",
    ),
    "gumbel": Row(
        Recipe(Gumbel(), sampler=Autoregressive()),
        "A code of categories, drawn with a noise that lets gradients through.",
        "Jang, Gu and Poole, Categorical reparameterization with Gumbel-softmax, ICLR 2017.",
    ),
    "bernoulli": Row(
        Recipe(BernoulliBits(), sampler=Autoregressive()),
        "A code of bits, drawn with a noise that lets gradients through.",
        "Maddison, Mnih and Teh, The concrete distribution: a continuous relaxation of discrete "
        "random variables, ICLR 2017.",
    ),
}


def names() -> Iterator[str]:
    """Yield the name of each recipe, in the table's order."""
    yield from TABLE


def recipe(name: str) -> Recipe:
    """Return the recipe of this name.

    Raises
    ------
    SettingError
        If there is none; the nearest name is suggested.
    """
    if name not in TABLE:
        raise unknown("recipe", name, TABLE)
    return TABLE[name].recipe


def resolve(choice: object) -> Recipe:
    """Return the recipe that a user means by a name of the table or by a Recipe.

    Raises
    ------
    SettingError
        If it is neither.
    """
    return recipe(choice) if isinstance(choice, str) else Recipe.resolve(choice)
