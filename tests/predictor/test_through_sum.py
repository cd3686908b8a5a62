from dataclasses import replace

import numpy as np
import pytest

from predictor._composition import Composition
from predictor._features import FloatArray
from predictor._through_sum import FactorFit, FactorPrior, FactorProcess, LabelledRows
from profiler.kernels import FUSION_RULES, Fuser, Kernel, random_kernels
from tests.predictor._synthetic import KINDS, some_networks, true_ms

AS_IS = Composition(1.0, 0.0, 0.0, 0.0, 0, 0.0, 0.0, 1.0)
PRIOR = FactorPrior(level=1.0, family=0.5, shape=0.3, noise=0.02)


def base_of(kernels: tuple[Kernel, ...]) -> FloatArray:
    """A base that knows work but not what a device makes of it."""
    return np.array([0.002 + 1e-7 * kernel.network.cost().macs for kernel in kernels])


def some_rows(networks: int, alone: int, seed: int = 0) -> LabelledRows:
    rng = np.random.default_rng(seed)
    fuser = Fuser(FUSION_RULES["litert"])
    bags = [fuser(network) for network in some_networks(networks, rng)]
    kernels = random_kernels(alone, rng, kinds=KINDS) if alone else []
    measured = np.array([true_ms(kernel) for kernel in kernels])
    sums = np.array([sum(true_ms(kernel) for kernel in bag) for bag in bags])
    rows = LabelledRows.of(kernels, measured, bags, sums)
    return replace(rows, latency_ms=rows.latency_ms * np.exp(rng.normal(0.0, 0.02, len(rows))))


def fitted(rows: LabelledRows, prior: FactorPrior = PRIOR, most_anchors: int = 300) -> FactorFit:
    process = FactorProcess.over(rows.kernels, prior, most_anchors)
    return FactorFit.of(process, rows, base_of(rows.kernels), AS_IS, steps=8)


@pytest.mark.parametrize(("networks", "alone"), [(60, 0), (30, 60)])
def test_sums_that_were_not_seen_are_predicted(networks: int, alone: int) -> None:
    rows, fresh = some_rows(networks, alone), some_rows(40, 0, seed=1)
    factors = fitted(rows).factors
    log_factor, _ = factors.predict(fresh.kernels)
    predicted = fresh.counts @ (base_of(fresh.kernels) * np.exp(log_factor))
    before = np.abs(np.log(fresh.counts @ base_of(fresh.kernels) / fresh.latency_ms)).mean()
    after = np.abs(np.log(predicted / fresh.latency_ms)).mean()
    assert after < min(0.15, before / 2)


@pytest.mark.parametrize("groups", [None, 7])
def test_left_out_residuals_are_those_of_fits_without_the_rows(groups: int | None) -> None:
    rows = some_rows(24, 12)
    fit = fitted(rows, replace(PRIOR, level=0.3, family=0.1, shape=0.1))
    labels = np.arange(len(rows)) if groups is None else np.arange(len(rows)) % groups
    quick = fit.left_out(None if groups is None else labels)
    for group in np.unique(labels)[:4]:
        members = labels == group
        weight = np.where(members, 0.0, fit.precision)
        gram = (fit.design * weight[:, None]).T @ fit.design + np.eye(fit.design.shape[1])
        weights = np.linalg.solve(gram, fit.design.T @ (weight * fit.target))
        errors = fit.target[members] - fit.design[members] @ weights
        spread = np.einsum("ij,jk,ik->i", fit.design[members], np.linalg.inv(gram), fit.design[members])
        np.testing.assert_allclose(quick.errors[members], errors, atol=1e-7)
        np.testing.assert_allclose(quick.deviations[members], np.sqrt(spread + 0.02**2 + fit.own[members]), rtol=1e-6)


def test_a_kernel_unlike_all_rows_keeps_the_base_and_the_prior_s_width() -> None:
    rows = some_rows(20, 0)
    factors = fitted(rows).factors
    (pool,) = random_kernels(1, np.random.default_rng(0), kinds=("max_pool2d",))
    _, deviation = factors.predict([pool])
    assert deviation[0] > 0.5
    _, near = factors.predict(rows.kernels)
    assert (near < deviation[0]).all()


def test_a_sum_is_surer_than_its_parts() -> None:
    rows = some_rows(60, 0)
    fit = fitted(rows)
    _, loadings, left_out = fit.factors.joint(rows.kernels)
    of_sums = np.sqrt(((fit.design @ np.linalg.inv(fit.factors.root).T) ** 2).sum(axis=1))
    alone = np.sqrt((loadings**2).sum(axis=1) + left_out)
    assert np.median(of_sums) < np.median(alone) / 3


def test_few_anchors_are_nearly_as_good_as_all() -> None:
    rows, fresh = some_rows(60, 0), some_rows(30, 0, seed=2)
    base = base_of(fresh.kernels)
    exact, thin = (
        fresh.counts @ (base * np.exp(fitted(rows, most_anchors=most).factors.predict(fresh.kernels)[0]))
        for most in (300, 60)
    )
    assert np.abs(np.log(exact / thin)).mean() < 0.03


def test_one_throttled_row_does_not_move_the_rest() -> None:
    rows = some_rows(60, 0)
    spoiled = replace(rows, latency_ms=np.where(np.arange(len(rows)) == 5, 6.0, 1.0) * rows.latency_ms)
    base = base_of(rows.kernels)
    totals = [
        rows.counts @ (base * np.exp(fitted(table).factors.predict(rows.kernels)[0])) for table in (rows, spoiled)
    ]
    others = np.arange(len(rows)) != 5
    assert np.abs(np.log(totals[1] / totals[0]))[others].max() < 0.12


def test_a_further_direction_is_found_where_it_is_the_cause() -> None:
    rows = some_rows(30, 30)
    direction = np.random.default_rng(3).normal(size=(len(rows.kernels), 1))
    base = base_of(rows.kernels)
    truth = rows.counts @ (base * np.exp(0.4 * direction[:, 0]))
    process = FactorProcess.over(rows.kernels, replace(PRIOR, family=0.05, shape=0.02, directions=(1.0,)))
    fit = FactorFit.of(process, replace(rows, latency_ms=truth), base, AS_IS, direction)
    assert fit.factors.weights[-1] == pytest.approx(0.4, abs=0.05)
    with pytest.raises(ValueError, match="directions"):
        fit.factors.predict(rows.kernels)


def test_the_covariance_is_that_of_the_features() -> None:
    rows = some_rows(10, 0)
    process = FactorProcess.over(rows.kernels, PRIOR)
    covariance = process.covariance(rows.kernels, rows.kernels)
    assert np.diag(covariance) == pytest.approx(1.0 + 0.25 + 0.09, rel=1e-3)
