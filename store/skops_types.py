"""The types a skops model may contain beyond those that skops trusts by itself.

skops trusts public scikit-learn estimators, numpy and scipy ufuncs and plain containers; fitted trees,
histogram boosting, neighbours, kernels, scorers and splitters hold more. Reviewed: none of these imports
by name, reads or writes a file, or evaluates text when it is built or called.
"""

from __future__ import annotations

_REVIEWED = """
builtins: bytes complex frozenset slice
collections: OrderedDict defaultdict
datetime: date datetime timedelta
functools: partial
numpy: amax amin asarray clip dtype generic max mean median min nan_to_num nanmean nanmedian ndarray number
numpy: std sum var
numpy.ma: MaskedArray
numpy.ma.core: MaskedArray
numpy.random: Generator RandomState
numpy.random.mtrand: RandomState
pipelines.transforms: DatetimeParts
scipy._lib.array_api_compat.numpy._aliases: asarray
scipy.interpolate._bsplines: BSpline
scipy.interpolate._interpolate: interp1d
scipy.sparse._bsr: bsr_array bsr_matrix
scipy.sparse._coo: coo_array coo_matrix
scipy.sparse._csc: csc_array csc_matrix
scipy.sparse._csr: csr_array csr_matrix
scipy.sparse._dia: dia_array dia_matrix
scipy.sparse._lil: lil_array lil_matrix
_loss: CyAbsoluteError CyExponentialLoss CyHalfBinomialLoss CyHalfGammaLoss CyHalfMultinomialLoss
_loss: CyHalfPoissonLoss CyHalfSquaredError CyHalfTweedieLoss CyHalfTweedieLossIdentity CyHuberLoss
_loss: CyPinballLoss
sklearn._loss._loss: CyAbsoluteError CyExponentialLoss CyHalfBinomialLoss CyHalfGammaLoss
sklearn._loss._loss: CyHalfMultinomialLoss CyHalfPoissonLoss CyHalfSquaredError CyHalfTweedieLoss
sklearn._loss._loss: CyHalfTweedieLossIdentity CyHuberLoss CyPinballLoss
sklearn._loss.link: HalfLogitLink IdentityLink Interval LogLink LogitLink MultinomialLogit
sklearn._loss.loss: AbsoluteError ExponentialLoss HalfBinomialLoss HalfBinomialLossArrayAPI HalfGammaLoss
sklearn._loss.loss: HalfMultinomialLoss HalfMultinomialLossArrayAPI HalfPoissonLoss HalfPoissonLossArrayAPI
sklearn._loss.loss: HalfSquaredError HalfTweedieLoss HalfTweedieLossIdentity HuberLoss PinballLoss
sklearn.calibration: _CalibratedClassifier _SigmoidCalibration _TemperatureScaling
sklearn.cluster._bisect_k_means: _BisectingTree
sklearn.cluster._kmeans: _kmeans_single_elkan _kmeans_single_lloyd
sklearn.compose._column_transformer: _RemainderColsList make_column_selector
sklearn.ensemble._hist_gradient_boosting.binning: _BinMapper
sklearn.ensemble._hist_gradient_boosting.predictor: TreePredictor
sklearn.feature_selection._mutual_info: mutual_info_classif mutual_info_regression
sklearn.feature_selection._univariate_selection: chi2 f_classif f_oneway f_regression r_regression
sklearn.gaussian_process._gpc: _BinaryGaussianProcessClassifierLaplace
sklearn.gaussian_process.kernels: CompoundKernel ConstantKernel DotProduct ExpSineSquared Exponentiation
sklearn.gaussian_process.kernels: Hyperparameter
sklearn.gaussian_process.kernels: Matern PairwiseKernel Product RBF RationalQuadratic Sum WhiteKernel
sklearn.impute._iterative: _ImputerTriplet
sklearn.metrics._classification: accuracy_score balanced_accuracy_score brier_score_loss cohen_kappa_score
sklearn.metrics._classification: d2_brier_score d2_log_loss_score f1_score fbeta_score jaccard_score log_loss
sklearn.metrics._classification: matthews_corrcoef precision_score recall_score zero_one_loss
sklearn.metrics._dist_metrics: BrayCurtisDistance BrayCurtisDistance32 BrayCurtisDistance64
sklearn.metrics._dist_metrics: CanberraDistance CanberraDistance32 CanberraDistance64
sklearn.metrics._dist_metrics: ChebyshevDistance ChebyshevDistance32 ChebyshevDistance64
sklearn.metrics._dist_metrics: DiceDistance DiceDistance32 DiceDistance64
sklearn.metrics._dist_metrics: EuclideanDistance EuclideanDistance32 EuclideanDistance64
sklearn.metrics._dist_metrics: HammingDistance HammingDistance32 HammingDistance64
sklearn.metrics._dist_metrics: HaversineDistance HaversineDistance32 HaversineDistance64
sklearn.metrics._dist_metrics: JaccardDistance JaccardDistance32 JaccardDistance64
sklearn.metrics._dist_metrics: MahalanobisDistance MahalanobisDistance32 MahalanobisDistance64
sklearn.metrics._dist_metrics: ManhattanDistance ManhattanDistance32 ManhattanDistance64
sklearn.metrics._dist_metrics: MinkowskiDistance MinkowskiDistance32 MinkowskiDistance64
sklearn.metrics._dist_metrics: RogersTanimotoDistance RogersTanimotoDistance32 RogersTanimotoDistance64
sklearn.metrics._dist_metrics: RussellRaoDistance RussellRaoDistance32 RussellRaoDistance64
sklearn.metrics._dist_metrics: SEuclideanDistance SEuclideanDistance32 SEuclideanDistance64
sklearn.metrics._dist_metrics: SokalSneathDistance SokalSneathDistance32 SokalSneathDistance64
sklearn.metrics._ranking: average_precision_score roc_auc_score top_k_accuracy_score
sklearn.metrics._regression: d2_absolute_error_score d2_pinball_score d2_tweedie_score max_error
sklearn.metrics._regression: explained_variance_score mean_absolute_error
sklearn.metrics._regression: mean_absolute_percentage_error mean_gamma_deviance
sklearn.metrics._regression: mean_pinball_loss mean_poisson_deviance mean_squared_error mean_squared_log_error
sklearn.metrics._regression: mean_tweedie_deviance median_absolute_error r2_score root_mean_squared_error
sklearn.metrics._regression: root_mean_squared_log_error
sklearn.metrics._scorer: _CurveScorer _MultimetricScorer _PassthroughScorer _Scorer
sklearn.metrics._scorer: negative_likelihood_ratio positive_likelihood_ratio
sklearn.model_selection._split: GroupKFold GroupShuffleSplit KFold LeaveOneGroupOut LeaveOneOut
sklearn.model_selection._split: LeavePGroupsOut LeavePOut PredefinedSplit RepeatedKFold
sklearn.model_selection._split: RepeatedStratifiedKFold ShuffleSplit
sklearn.model_selection._split: StratifiedGroupKFold StratifiedKFold StratifiedShuffleSplit TimeSeriesSplit
sklearn.model_selection._split: _CVIterableWrapper
sklearn.multiclass: _ConstantPredictor
sklearn.neighbors._ball_tree: BallTree BallTree32 BallTree64
sklearn.neighbors._kd_tree: KDTree KDTree32 KDTree64
sklearn.neural_network._stochastic_optimizers: AdamOptimizer SGDOptimizer
sklearn.tree._tree: Tree
sklearn.utils._bunch: Bunch
sklearn.utils._metadata_requests: MetadataRequest MethodMapping MethodMetadataRequest
sklearn.utils.validation: check_array
"""

SKOPS_TYPES: frozenset[str] = frozenset(
    f"{module}.{name}"
    for module, _, names in (line.partition(": ") for line in _REVIEWED.strip().splitlines())
    for name in names.split()
)
"""Dotted names of the reviewed types."""
