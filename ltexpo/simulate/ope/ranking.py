"""Step-wise weights and rewards of whole lists → what each list adds to a policy's value, by what clicks depend on.

`steps` (R, K) holds π(item | above) / π₀(item | above), 1 where there is no slot. Each result is (R,), its mean is the
estimate. The more a slot's reward may depend on, the more the weights vary.
"""

import numpy as np
import numpy.typing as npt

from ltexpo.simulate.ope.reward_model import Predicted

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]


def list_weights(steps: Floats) -> Floats:
    """(R,) how much more likely the policy shows the whole list than the log's did."""
    weights: Floats = steps.prod(axis=1)
    return weights


def prefix_weights(steps: Floats, shown: Flags) -> Floats:
    """(R, K) the same for the list down to each slot; 0 where there is none."""
    return np.where(shown, steps.cumprod(axis=1), 0.0)


def list_ips(steps: Floats, rewards: Floats) -> Floats:
    """A slot's reward may depend on all of the list: the list as one action (Horvitz & Thompson 1952)."""
    total: Floats = list_weights(steps) * rewards.sum(axis=1)
    return total


def list_snips(steps: Floats, rewards: Floats) -> Floats:
    """The same, self-normalised and linearised; NaN when every weight is 0."""
    weights, earned = list_weights(steps), rewards.sum(axis=1)
    total = weights.sum()
    value = float((weights * earned).sum() / total) if total > 0 else float("nan")
    linear: Floats = value + weights * (earned - value) * (len(weights) / total if total > 0 else np.nan)
    return linear


def rips(steps: Floats, rewards: Floats, shown: Flags) -> Floats:
    """Reward interaction IPS: a slot's reward may depend on what stands above it (McInerney et al., KDD 2020)."""
    total: Floats = (prefix_weights(steps, shown) * rewards).sum(axis=1)
    return total


def cascade_dr(steps: Floats, rewards: Floats, shown: Flags, value: Floats, ahead: Floats) -> Floats:
    """Cascade doubly robust (Kiyohara et al., WSDM 2022), under the same assumption as RIPS with less variance.

    Σ_k w_{1:k} (r_k − Q_k(a_{1:k})) + w_{1:k−1} E_{a∼π}[Q_k(a_{1:k−1}, a)], Q_k being what the policy would earn from
    slot k on: `value` (R, K) holds Q_k of the logged slots, `ahead` (R, K) its mean over the policy. Any Q leaves the
    estimate unbiased; the better it predicts, the less the estimate varies.
    """
    weights = prefix_weights(steps, shown)
    before = np.where(shown, np.column_stack([np.ones(len(steps)), steps.cumprod(axis=1)[:, :-1]]), 0.0)
    total: Floats = (weights * (rewards - value) + before * ahead).sum(axis=1)
    return total


def cascade_values(rewards: Floats, shown: Flags, predicted: Predicted) -> tuple[Floats, Floats]:
    """(R, K) Q_k of the logged slot, and its mean over what the policy would show there below the logged items.

    Q_k is linear in the slot's predicted reward m_k, in the sum s of those above, and in their product: so a list that
    was good already may leave less or more to earn. As it is linear in m_k, its mean over the policy follows from the
    mean of m_k. Fitted by least squares to r_k + the mean of Q_{k+1}, for each fold on all others.
    """
    value, ahead = np.zeros(rewards.shape), np.zeros(rewards.shape)
    above = np.cumsum(predicted.logged, axis=1) - predicted.logged
    for part in np.unique(predicted.fold):
        inside = predicted.fold == part
        below = np.zeros(len(rewards))
        for rank in range(rewards.shape[1] - 1, -1, -1):
            here = shown[:, rank]
            if not here.any():
                continue
            logged = _features(predicted.logged[:, rank], above[:, rank])
            target = _features(predicted.given_above[:, rank], above[:, rank])
            learn = here & ~inside if (here & ~inside).any() else here
            weights = np.linalg.lstsq(logged[learn], (rewards[:, rank] + below)[learn], rcond=1e-8)[0]
            mean = target @ weights
            value[inside & here, rank] = (logged @ weights)[inside & here]
            ahead[inside & here, rank] = mean[inside & here]
            below = np.where(here, mean, 0.0)
    return value, ahead


def _features(own: Floats, above: Floats) -> Floats:
    return np.column_stack([np.ones(len(own)), own, above, own * above])
