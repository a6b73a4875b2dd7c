"""The table: every published variant is one expression of parts.

To add a variant, add a row, and run `make recipes`. The command line's choices, the page of
recipes, the citations and the tests are all made from this table.
"""

from __future__ import annotations

from collections.abc import Iterator

from attar.bounds import Capacity, Combined, FreeBits, ImportanceWeighted, Multiple, Partial
from attar.codes import (
    BatchTopK,
    BernoulliBits,
    Contextual,
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
    NoCode,
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
from attar.corruptions import Augmentation, GaussianNoise, Masking, Patches, Splicing
from attar.errors import unknown
from attar.likelihoods import (
    Causal,
    HeteroscedasticGaussian,
    Language,
    MultiScaleMel,
    MultiScaleSimilarity,
)
from attar.networks import Lapped, Spectral, TextTransformer
from attar.penalties import (
    L2,
    Adversarial,
    CodeNorm,
    Contractive,
    DecoderGradient,
    DecoderWeights,
    DensityRatio,
    DipI,
    DipII,
    LearnedSimilarity,
    MaximumMeanDiscrepancy,
    SlicedWasserstein,
    TotalCorrelation,
    Views,
)
from attar.priors import Mixture, NormalizingFlow, StandardNormal, Vamp
from attar.recipe import Recipe, Row
from attar.sampling import Autoregressive, FrameSymbols, KernelDensity, Manifold, TwoStage

# A frame of 20 ms has up to 20 symbols of a byte.
SPEECH = Recipe(
    ResidualQuantized(256, 24, 0.97, commitment=4.0, stages=20, dropout=1.0, bypass=0.5),
    corruption=Splicing(),
    likelihood=MultiScaleMel(),
    sampler=FrameSymbols(),
    network=Spectral(),
)

TEXT = Recipe(
    Point(),
    corruption=Masking((0.0, 0.6)),
    likelihood=Language(),
    sampler=KernelDensity(bandwidth=0.5),
    network=TextTransformer(),
)

TEXT_VAE = Recipe(
    Gaussian(),
    bound=FreeBits(),
    likelihood=Language(word_dropout=0.7, code_dropout=0.0),
    network=TextTransformer(),
)

TABLE: dict[str, Row] = {
    "ae": Row(
        Recipe(Point()),
        "Deterministic code and the reconstruction loss alone.",
        "Hinton and Salakhutdinov, Reducing the dimensionality of data with neural networks, "
        "Science 313, 2006.",
    ),
    "denoising": Row(
        Recipe(Point(), corruption=GaussianNoise((0.0, 0.5))),
        "Gaussian noise of any level on the input, which shrinks the code; the target is the clean "
        "row.",
        "Vincent et al., Stacked denoising autoencoders, JMLR 11, 2010. Zhang, Zuo and Zhang, "
        "FFDNet: toward a fast and flexible solution for CNN-based image denoising, IEEE TIP 2018.",
    ),
    "denoising-masking": Row(
        Recipe(Point(), corruption=Masking(0.25)),
        "A quarter of the input set to zero; the target is the clean row.",
        "Vincent, Larochelle, Bengio and Manzagol, Extracting and composing robust features with "
        "denoising autoencoders, ICML 2008.",
    ),
    "masked": Row(
        Recipe(Point(), corruption=Patches()),
        "Random patches of the input masked; the loss is on masked cells only.",
        "He, Chen, Xie, Li, Dollár and Girshick, Masked autoencoders are scalable vision learners, "
        "CVPR 2022.",
    ),
    "features": Row(
        Recipe(Point(), corruption=Augmentation(), penalties=(Views(),)),
        "Augmented input, codes of two views kept together and decorrelated: for recognition.",
        "Bardes, Ponce and LeCun, VICReg: variance-invariance-covariance regularization for "
        "self-supervised learning, ICLR 2022.",
    ),
    "sparse-l1": Row(
        Recipe(SparseL1(beta=0.1), penalties=(L2(1e-4),)),
        "ReLU code with an L1 penalty on activations, and weight decay.",
        "Olshausen and Field, Emergence of simple-cell receptive field properties by learning a "
        "sparse code for natural images, Nature 381, 1996.",
    ),
    "sparse-kl": Row(
        Recipe(SparseKL(target=0.1, beta=1.0)),
        "Sigmoid code, KL of each unit's mean activation from a target of 0.1.",
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
        "ReLU of the k B largest units of a batch of B rows; a fixed threshold at inference.",
        "Bussmann, Leask and Nanda, BatchTopK sparse autoencoders, NeurIPS workshop 2024.",
    ),
    "sparse-jumprelu": Row(
        Recipe(JumpRelu()),
        "JumpReLU units with learned thresholds, L0 penalty per active unit.",
        "Rajamanoharan et al., Jumping ahead: improving reconstruction fidelity with JumpReLU "
        "sparse autoencoders, arXiv 2024.",
    ),
    "sparse-gated": Row(
        Recipe(Gated(), penalties=(L2(1e-4),)),
        "ReLU units with separate gates and magnitudes, L1 penalty on the gates, weight decay.",
        "Rajamanoharan et al., Improving dictionary learning with gated sparse autoencoders, "
        "NeurIPS 2024.",
    ),
    "matryoshka": Row(
        Recipe(Matryoshka()),
        "BatchTopK code; the loss is the mean over nested prefixes of the dictionary.",
        "Bussmann, Nabeshima, Karvonen and Nanda, Learning multi-level features with Matryoshka "
        "sparse autoencoders, ICML 2025.",
    ),
    "contractive": Row(
        Recipe(Point("sigmoid"), penalties=(Contractive(0.1),)),
        "Sigmoid code, squared Frobenius norm of the encoder's Jacobian.",
        "Rifai, Vincent, Muller, Glorot and Bengio, Contractive auto-encoders: explicit invariance "
        "during feature extraction, ICML 2011.",
    ),
    "rae-l2": Row(
        Recipe(Point(), penalties=(CodeNorm(), DecoderWeights())),
        "Deterministic code, squared norm of the code, weight decay in the decoder.",
        "Ghosh, Sajjadi, Vergari, Black and Schölkopf, From variational to deterministic "
        "autoencoders, ICLR 2020.",
    ),
    "rae-gp": Row(
        Recipe(Point(), penalties=(CodeNorm(), DecoderGradient())),
        "Deterministic code, squared norm of the code and of the decoder's Jacobian.",
        "Ghosh, Sajjadi, Vergari, Black and Schölkopf, From variational to deterministic "
        "autoencoders, ICLR 2020.",
    ),
    "wae-mmd": Row(
        Recipe(Point(prior=StandardNormal()), penalties=(MaximumMeanDiscrepancy(),)),
        "Deterministic code, MMD between codes and N(0, I).",
        "Tolstikhin, Bousquet, Gelly and Schölkopf, Wasserstein auto-encoders, ICLR 2018.",
    ),
    "swae": Row(
        Recipe(Point(prior=StandardNormal()), penalties=(SlicedWasserstein(),)),
        "Deterministic code, sliced Wasserstein distance between codes and N(0, I).",
        "Kolouri, Pope, Martin and Rohde, Sliced Wasserstein auto-encoders, ICLR 2019.",
    ),
    "aae": Row(
        Recipe(Point(prior=StandardNormal()), penalties=(Adversarial(),)),
        "Deterministic code, adversarial loss of a critic between codes and N(0, I).",
        "Makhzani, Shlens, Jaitly, Goodfellow and Frey, Adversarial autoencoders, ICLR workshop "
        "2016.",
    ),
    "ordered": Row(
        Recipe(Ordered()),
        "Nested dropout: the first k dimensions are a code by themselves, for each k.",
        "Rippel, Gelbart and Adams, Learning ordered representations with nested dropout, ICML "
        "2014.",
    ),
    "vae": Row(
        Recipe(Gaussian()),
        "Gaussian posterior, KL to N(0, I).",
        "Kingma and Welling, Auto-encoding variational Bayes, ICLR 2014.",
    ),
    "beta-vae": Row(
        Recipe(Gaussian(beta=4.0)),
        "Gaussian posterior, KL to N(0, I) with a weight of 4.",
        "Higgins et al., beta-VAE: learning basic visual concepts with a constrained variational "
        "framework, ICLR 2017.",
    ),
    "annealed-vae": Row(
        Recipe(Gaussian(beta=10.0), bound=Capacity(20.0)),
        "Gaussian posterior, KL held at a capacity that grows from 0 to 20 nats, weight 10.",
        "Burgess et al., Understanding disentangling in beta-VAE, NeurIPS workshop 2017.",
    ),
    "beta-tcvae": Row(
        Recipe(Gaussian(), penalties=(TotalCorrelation(),)),
        "Gaussian posterior, KL to N(0, I), minibatch estimate of the total correlation.",
        "Chen, Li, Grosse and Duvenaud, Isolating sources of disentanglement in variational "
        "autoencoders, NeurIPS 2018.",
    ),
    "factor-vae": Row(
        Recipe(Gaussian(), penalties=(DensityRatio(),)),
        "Gaussian posterior, a critic's total correlation; unlike the paper, the critic permutes "
        "the batch itself, not a second one, and takes the VAE's step size.",
        "Kim and Mnih, Disentangling by factorising, ICML 2018.",
    ),
    "dip-vae-i": Row(
        Recipe(Gaussian(), penalties=(DipI(),)),
        "Gaussian posterior, covariance of posterior means matched to the identity.",
        "Kumar, Sattigeri and Balakrishnan, Variational inference of disentangled latent concepts "
        "from unlabeled observations, ICLR 2018.",
    ),
    "dip-vae-ii": Row(
        Recipe(Gaussian(), penalties=(DipII(),)),
        "Gaussian posterior, covariance of the aggregate posterior matched to the identity.",
        "Kumar, Sattigeri and Balakrishnan, Variational inference of disentangled latent concepts "
        "from unlabeled observations, ICLR 2018.",
    ),
    "info-vae": Row(
        Recipe(Gaussian(beta=0.5), penalties=(MaximumMeanDiscrepancy(),)),
        "Gaussian posterior, KL with a weight of 0.5, MMD between codes and N(0, I).",
        "Zhao, Song and Ermon, InfoVAE: balancing learning and inference in variational "
        "autoencoders, AAAI 2019.",
    ),
    "iwae": Row(
        Recipe(Gaussian(), bound=ImportanceWeighted(5)),
        "Gaussian posterior, importance-weighted bound of 5 samples.",
        "Burda, Grosse and Salakhutdinov, Importance weighted autoencoders, ICLR 2016.",
    ),
    "miwae": Row(
        Recipe(Gaussian(), bound=Multiple(3, 3)),
        "Gaussian posterior, mean of 3 importance-weighted bounds of 3 samples.",
        "Rainforth et al., Tighter variational bounds are not necessarily better, ICML 2018.",
    ),
    "piwae": Row(
        Recipe(Gaussian(), bound=Partial(3, 3)),
        "One importance-weighted bound of 9 samples for the decoder, 3 of 3 for the encoder.",
        "Rainforth et al., Tighter variational bounds are not necessarily better, ICML 2018.",
    ),
    "ciwae": Row(
        Recipe(Gaussian(), bound=Combined(0.05, 5)),
        "Weighted mean of the ELBO (0.05) and an importance-weighted bound of 5 samples.",
        "Rainforth et al., Tighter variational bounds are not necessarily better, ICML 2018.",
    ),
    "conditional": Row(
        Recipe(Gaussian(), condition=Joined()),
        "Gaussian posterior, encoder and decoder conditioned on labels or a table.",
        "Sohn, Lee and Yan, Learning structured output representation using deep conditional "
        "generative models, NeurIPS 2015.",
    ),
    "msssim-vae": Row(
        Recipe(Gaussian(), likelihood=MultiScaleSimilarity()),
        "Gaussian posterior, MS-SSIM and absolute error of images as reconstruction loss.",
        "Snell et al., Learning to generate images with perceptual similarity metrics, ICIP 2017.",
    ),
    "vae-gan": Row(
        Recipe(Gaussian(), penalties=(LearnedSimilarity(),)),
        "Gaussian posterior, error in a discriminator's features; unlike the paper, the "
        "likelihood of pixels stays in the loss, and the discriminator has a gradient penalty.",
        "Larsen, Sønderby, Larochelle and Winther, Autoencoding beyond pixels using a learned "
        "similarity metric, ICML 2016.",
    ),
    "vamp": Row(
        Recipe(Gaussian(prior=Vamp())),
        "Gaussian posterior, VampPrior: the mixture of posteriors at learned pseudo-inputs.",
        "Tomczak and Welling, VAE with a VampPrior, AISTATS 2018.",
    ),
    "mixture-prior": Row(
        Recipe(Gaussian(prior=Mixture())),
        "Gaussian posterior, learned Gaussian mixture as prior; its components are clusters.",
        "Jiang et al., Variational deep embedding: an unsupervised and generative approach to "
        "clustering, IJCAI 2017.",
    ),
    "flow-prior": Row(
        Recipe(Gaussian(prior=NormalizingFlow())),
        "Gaussian posterior, learned autoregressive spline flow as prior.",
        "Chen et al., Variational lossy autoencoder, ICLR 2017.",
    ),
    "linnf": Row(
        Recipe(Flowed(flow=Planar())),
        "Gaussian posterior transformed by planar flows that depend on the row.",
        "Rezende and Mohamed, Variational inference with normalizing flows, ICML 2015.",
    ),
    "iaf": Row(
        Recipe(Flowed(flow=InverseAutoregressive())),
        "Gaussian posterior transformed by inverse autoregressive flows.",
        "Kingma et al., Improving variational inference with inverse autoregressive flow, NeurIPS "
        "2016.",
    ),
    "two-stage": Row(
        Recipe(Gaussian(), sampler=TwoStage()),
        "Gaussian posterior, samples from a second VAE; unlike the paper, it is trained on "
        "standardized posterior means, not on samples of the posterior.",
        "Dai and Wipf, Diagnosing and enhancing VAE models, ICLR 2019.",
    ),
    "ladder": Row(
        Recipe(Ladder()),
        "Gaussian posterior at three levels, each prior conditioned on the levels above it.",
        "Sønderby, Raiko, Maaløe, Sønderby and Winther, Ladder variational autoencoders, NeurIPS "
        "2016.",
    ),
    "hvae": Row(
        Recipe(Hamiltonian()),
        "Gaussian posterior moved by tempered leapfrog steps on log p(x, z).",
        "Caterini, Doucet and Sejdinovic, Hamiltonian variational auto-encoder, NeurIPS 2018.",
    ),
    "rhvae": Row(
        Recipe(Riemannian(), sampler=Manifold()),
        "hvae with a Riemannian metric learned from codes; samples follow the metric.",
        "Chadebec, Mantoux and Allassonnière, Geometry-aware Hamiltonian variational auto-encoder, "
        "arXiv 2020.",
    ),
    "svae": Row(
        Recipe(Sphere()),
        "von Mises-Fisher posterior on a sphere, KL to the uniform distribution.",
        "Davidson, Falorsi, De Cao, Kipf and Tomczak, Hyperspherical variational auto-encoders, "
        "UAI 2018.",
    ),
    "poincare": Row(
        Recipe(Poincare()),
        "Wrapped normal posterior and prior in the Poincaré ball.",
        "Mathieu, Le Lan, Maddison, Tomioka and Teh, Continuous hierarchical representations with "
        "Poincaré variational auto-encoders, NeurIPS 2019.",
    ),
    "vq-vae": Row(
        Recipe(VectorQuantized(), sampler=Autoregressive()),
        "Nearest entries of one codebook, commitment loss.",
        "Van den Oord, Vinyals and Kavukcuoglu, Neural discrete representation learning, NeurIPS "
        "2017.",
    ),
    "vq-vae-2": Row(
        Recipe(TwoLevels(), sampler=Autoregressive()),
        "Vector quantization at two levels, the bottom conditioned on the top.",
        "Razavi, Van den Oord and Vinyals, Generating diverse high-fidelity images with VQ-VAE-2, "
        "NeurIPS 2019.",
    ),
    "rvq": Row(
        Recipe(ResidualQuantized(), sampler=Autoregressive()),
        "Sum of codebook entries, each stage quantizing the residual of those before.",
        "Zeghidour et al., SoundStream: an end-to-end neural audio codec, TASLP 30, 2021.",
    ),
    "hrq": Row(
        Recipe(Hierarchical(), sampler=Autoregressive()),
        "Residual quantization by Gumbel-softmax, with later stages dropped at random.",
        "Hosking, Tang and Lapata, Hierarchical sketch induction for paraphrase generation, ACL "
        "2022.",
    ),
    "pq": Row(
        Recipe(ProductQuantized(), sampler=Autoregressive()),
        "Nearest entries of a separate codebook for each position.",
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
        "Signs of features as discrete codes, with an entropy loss for even use.",
        "Yu et al., Language model beats diffusion: tokenizer is key to visual generation, ICLR "
        "2024.",
    ),
    "simvq": Row(
        Recipe(SimVQ(), sampler=Autoregressive()),
        "Codebook of fixed random vectors under one learned linear map.",
        "Zhu et al., Addressing representation collapse in vector quantized models with one linear "
        "layer, ICCV 2025.",
    ),
    "gumbel": Row(
        Recipe(Gumbel(), sampler=Autoregressive()),
        "Categorical code by Gumbel-softmax, KL to the uniform distribution.",
        "Jang, Gu and Poole, Categorical reparameterization with Gumbel-softmax, ICLR 2017.",
    ),
    "bernoulli": Row(
        Recipe(BernoulliBits(), sampler=Autoregressive()),
        "Binary code by the binary concrete distribution, KL to Bernoulli(1/2).",
        "Maddison, Mnih and Teh, The concrete distribution: a continuous relaxation of discrete "
        "random variables, ICLR 2017.",
    ),
    "speech-codec": Row(
        SPEECH,
        "Causal frames of sound, whose residual quantization may be cut after any stage.",
        "Zeghidour et al., SoundStream: an end-to-end neural audio codec, TASLP 30, 2022.",
    ),
    "text": Row(
        TEXT,
        "Text from one code, from which up to 60% of the tokens are deleted.",
        "Wang, Reimers and Gurevych, TSDAE: using transformer-based sequential denoising "
        "auto-encoder for unsupervised sentence embedding learning, Findings of EMNLP 2021.",
    ),
    "text-vae": Row(
        TEXT_VAE,
        "Text from a Gaussian posterior with free bits and word dropout, for new text.",
        "Bowman, Vilnis, Vinyals, Dai, Jozefowicz and Bengio, Generating sentences from a "
        "continuous space, CoNLL 2016.",
    ),
    "lossless": Row(
        Recipe(NoCode(), likelihood=Causal()),
        "No code; each cell given those before it, for lossless compression.",
        "Van den Oord, Kalchbrenner and Kavukcuoglu, Pixel recurrent neural networks, ICML 2016.",
    ),
    "picture-codec": Row(
        Recipe(Contextual(), likelihood=HeteroscedasticGaussian(), network=Lapped()),
        "Coefficients of overlapping blocks, quantized for any quality, each given those coded "
        "before.",
        "Ballé, Minnen, Singh, Hwang and Johnston, Variational image compression with a scale "
        "hyperprior, ICLR 2018. He et al., ELIC: efficient learned image compression with unevenly "
        "grouped space-channel contextual adaptive coding, CVPR 2022.",
    ),
}


def names() -> Iterator[str]:
    """Yield the name of each recipe, in the table's order.

    Examples
    --------
    >>> list(names())[:3]
    ['ae', 'denoising', 'denoising-masking']
    """
    yield from TABLE


def recipe(name: str) -> Recipe:
    """Return the recipe of this name.

    Raises
    ------
    SettingError
        If there is none; the nearest name is suggested.

    Examples
    --------
    >>> recipe("beta-vae").code.beta
    4.0
    """
    if name not in TABLE:
        raise unknown("recipe", name, TABLE)
    return TABLE[name].recipe


def resolve(choice: object) -> Recipe:
    """Return a recipe, given by its name in the table or as it is.

    Raises
    ------
    SettingError
        If it is neither.
    """
    return recipe(choice) if isinstance(choice, str) else Recipe.resolve(choice)
