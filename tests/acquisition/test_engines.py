"""The shared engines against their plain loops."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.cluster import KMeans

from backend.acquisition.engines import k_center as k_center_module
from backend.acquisition.engines import seeding
from backend.acquisition.engines.coverage import Coverage, rbf, top_hat
from backend.acquisition.engines.distances import PredictionSpace, ProductSpace, nearest_centers
from backend.acquisition.engines.k_center import k_center
from backend.acquisition.engines.kmeans import kmeans, leading_subspace, medoids
from backend.acquisition.engines.seeding import d2_sample, greedy_seeds


def squared_distance_matrix(points):
    return ((points[:, None] - points[None]) ** 2).sum(2)


@pytest.fixture
def points():
    return np.random.default_rng(0).normal(size=(60, 5)) + 50


def test_product_space_gives_euclidean_distances_of_the_outer_products():
    rng = np.random.default_rng(0)
    residuals, embeddings = rng.normal(size=(20, 3)), rng.normal(size=(20, 4))
    outer = np.einsum("nk,nd->nkd", residuals, embeddings).reshape(20, 12)
    space = ProductSpace([torch.tensor(residuals), torch.tensor(embeddings)])
    found = space.squared_distances(slice(0, 20), torch.arange(20))
    np.testing.assert_allclose(found, squared_distance_matrix(outer), atol=1e-9)
    np.testing.assert_allclose(space.squares, (outer**2).sum(1))


def test_euclidean_space_joins_arrays_and_does_not_lose_digits_when_far_from_zero(points):
    space = ProductSpace.euclidean(points[:40].astype(np.float32), points[40:].astype(np.float32))
    found = space.squared_distances(slice(0, 60), torch.arange(60))
    expected = squared_distance_matrix(points.astype(np.float32).astype(float))
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_prediction_space_gives_symmetric_kl_divergences():
    p = np.random.default_rng(0).dirichlet(np.ones(4), size=10)
    space = PredictionSpace(torch.tensor(np.log(p)))
    found = space.squared_distances(slice(0, 10), torch.arange(10))
    kl = (p[:, None] * (np.log(p[:, None]) - np.log(p[None]))).sum(2)
    np.testing.assert_allclose(found, (kl + kl.T) / 2, atol=1e-9)


def plain_k_center(squared, covered, count, budget, ids):
    nearest = squared[:count, covered].min(1) if len(covered) else np.full(count, np.inf)
    picks = []
    for _ in range(budget):
        farthest = nearest.max()
        ties = [row for row in range(count) if nearest[row] == farthest]
        picks.append(min(ties, key=lambda row: ids[row]))
        nearest = np.minimum(nearest, squared[:count, picks[-1]])
        nearest[picks] = -1
    return picks


@pytest.mark.parametrize("group", [2, 7, 1000])
@pytest.mark.parametrize("covered", [[], [40, 55], list(range(40, 60))])
def test_k_center_equals_the_plain_loop(group, covered, points, monkeypatch):
    monkeypatch.setattr(k_center_module, "GROUP_ROWS", group)
    ids = np.random.default_rng(1).permutation(40)
    found = k_center(ProductSpace.euclidean(points), np.array(covered, int), 25, ids)
    expected = plain_k_center(squared_distance_matrix(points), covered, 40, 25, ids)
    np.testing.assert_array_equal(found, expected)


def test_k_center_takes_every_row_once_when_all_coincide():
    space = ProductSpace.euclidean(np.ones((9, 2)))
    ids = np.array([4, 2, 8, 0, 6, 1, 3, 5, 7])
    np.testing.assert_array_equal(ids[k_center(space, np.array([], int), 9, ids)], np.arange(9))


@pytest.mark.parametrize("draws", [1, 64])
def test_d2_sample_draws_with_the_probabilities_of_the_definition(draws, monkeypatch):
    # Rows at 0, 1, 3, 7 on a line, first 0. The pair drawn after it has a known probability.
    monkeypatch.setattr(seeding, "DRAWS_PER_UPDATE", draws)
    x = np.array([0.0, 1.0, 3.0, 7.0])
    squared = (x[:, None] - x[None]) ** 2
    expected = np.zeros((4, 4))
    for second in (1, 2, 3):
        p_second = squared[0, second] / squared[0].sum()
        left = np.minimum(squared[0], squared[second])
        expected[second] = p_second * left / left.sum()
    space = ProductSpace.euclidean(x[:, None])
    generator = np.random.default_rng(0)
    found = np.zeros((4, 4))
    runs = 600
    for _ in range(runs):
        first, second, third = d2_sample(space, 3, 0, generator)
        assert first == 0
        found[second, third] += 1 / runs
    # Five standard deviations of the largest cell.
    assert np.abs(found - expected).max() < 5 * np.sqrt(0.25 / runs)


def test_d2_sample_ends_early_when_only_copies_are_left():
    space = ProductSpace.euclidean(np.array([[0.0], [1.0], [0.0], [1.0], [1.0]]))
    found = d2_sample(space, 4, 0, np.random.default_rng(0))
    assert len(found) == 2
    assert found[0] == 0


def plain_greedy(similarity, weights, covered, count, budget, ids):
    level = similarity[:count, covered].max(1) if len(covered) else np.zeros(count)
    picks = []
    for _ in range(budget):
        gains = (np.maximum(similarity[:count, :count] - level[:, None], 0).T * weights).sum(1)
        gains[picks] = -1
        best = gains.max()
        ties = [row for row in range(count) if gains[row] >= best - 1e-12]
        picks.append(min(ties, key=lambda row: ids[row]))
        level = np.maximum(level, similarity[:count, picks[-1]])
    return picks


@pytest.mark.parametrize("covered", [[], [50, 51, 59]])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("kept_bytes", [0, 8 * 50**2])
def test_coverage_greedy_equals_the_plain_loop_when_the_kernel_is_gaussian(
    covered, weighted, kept_bytes, points, monkeypatch
):
    monkeypatch.setattr("backend.acquisition.engines.coverage.KEPT_BYTES", kept_bytes)
    weights = np.random.default_rng(2).random(50) if weighted else np.ones(50)
    ids = np.random.default_rng(1).permutation(50)
    similarity = np.exp(-squared_distance_matrix(points) / 2.5**2)
    expected = plain_greedy(similarity, weights, covered, 50, 20, ids)
    coverage = Coverage(ProductSpace.euclidean(points), rbf(2.5), torch.tensor(weights), ids)
    rows, gains = coverage.greedy(np.array(covered, int), 20)
    np.testing.assert_array_equal(rows, expected)
    assert (np.diff(gains) <= 1e-9).all()


def test_coverage_greedy_equals_the_plain_loop_when_the_kernel_is_a_ball(points):
    ids = np.random.default_rng(1).permutation(60)
    squared = squared_distance_matrix(points)
    expected = plain_greedy((squared <= 2.2**2) * 1.0, np.ones(60), [], 60, 60, ids)
    coverage = Coverage(
        ProductSpace.euclidean(points), top_hat(2.2), torch.ones(60, dtype=torch.double), ids
    )
    rows, gains = coverage.greedy(np.array([], int), 60)
    np.testing.assert_array_equal(rows, expected)
    assert gains.sum() == 60


def test_nearest_centers_equals_a_loop(points):
    centers = points[[3, 17, 30]] + 0.1
    found = nearest_centers(points, centers)
    squared = ((points[:, None] - centers[None]) ** 2).sum(2)
    np.testing.assert_array_equal(found.center, squared.argmin(1))
    np.testing.assert_allclose(found.squared_distance, squared.min(1), atol=1e-9)


def test_kmeans_is_within_one_percent_of_sklearn_run_to_convergence():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2000, 10)) + 3 * rng.normal(size=(40, 10))[rng.integers(40, size=2000)]
    reference = KMeans(50, n_init=1, random_state=0, max_iter=300).fit(x).inertia_
    inertias = [kmeans(x, 50, np.random.default_rng(s)).inertia for s in range(5)]
    assert np.mean(inertias) < 1.01 * reference


def test_kmeans_is_within_one_percent_of_sklearn_when_it_starts_in_a_subspace():
    rng = np.random.default_rng(0)
    scales = np.linspace(2, 0.2, 160)
    centers = rng.normal(size=(30, 160)) * scales
    x = centers[rng.integers(30, size=1500)] + 0.7 * rng.normal(size=(1500, 160)) * scales
    reference = KMeans(40, n_init=1, random_state=0, max_iter=300).fit(x).inertia_
    inertias = [kmeans(x, 40, np.random.default_rng(s)).inertia for s in range(3)]
    assert np.mean(inertias) < 1.01 * reference


def test_leading_subspace_holds_the_leading_principal_directions():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(500, 30)) * np.r_[np.full(4, 10.0), np.full(26, 0.1)]
    basis = leading_subspace(x, 4, rng)
    np.testing.assert_allclose(basis.T @ basis, np.eye(4), atol=1e-9)
    assert np.linalg.norm(basis[:4]) == pytest.approx(2, abs=1e-3)


def test_greedy_seeds_end_early_when_only_copies_are_left():
    seeds = greedy_seeds(np.repeat(np.eye(3), 4, axis=0), 8, np.random.default_rng(0))
    assert len(seeds) == 3
    assert len(np.unique(seeds // 4)) == 3


def test_kmeans_inertia_is_that_of_its_centers(points):
    found = kmeans(points, 6, np.random.default_rng(0))
    squared = ((points[:, None] - found.centers[None]) ** 2).sum(2)
    assert found.inertia == pytest.approx(squared.min(1).sum())
    assert found.sizes.sum() == 60


def test_kmeans_gives_each_point_its_own_center_when_k_is_n(points):
    found = kmeans(points, 60, np.random.default_rng(0))
    assert found.inertia == pytest.approx(0, abs=1e-9)
    assert (found.sizes == 1).all()


def test_kmeans_has_no_more_centers_than_distinct_points():
    found = kmeans(np.repeat(np.eye(3), 10, axis=0), 8, np.random.default_rng(0))
    assert (found.sizes > 0).sum() == 3


def test_medoids_are_the_points_nearest_their_centers_and_ties_go_to_the_smallest_id():
    x = np.array([[0.0], [2.0], [10.0], [10.0], [13.0], [9.0]])
    clustering = kmeans(x, 2, np.random.default_rng(0))
    clusters, positions = medoids(clustering, np.array([5, 1, 9, 4, 0, 2]))
    by_center = dict(zip(clustering.centers[clusters, 0].round(6), positions, strict=True))
    assert by_center == {1.0: 1, 10.5: 3}
