"""Answers to 04.bracket, right and wrong: a product carried to the query, not to every key."""

import torch


def bracket(q, latent, key_up):
    return (q @ key_up) @ latent.T


def bracket_by_einsum(q, latent, key_up):
    carried = torch.einsum("tn,nr->tr", q, key_up)
    return torch.einsum("tr,sr->ts", carried, latent)


def bracket_query_by_query(q, latent, key_up):
    return torch.stack([latent @ (key_up.mT @ row) for row in q])


def bracket_turned_round(q, latent, key_up):
    return (latent @ (key_up.mT @ q.mT)).mT


def bracket_by_hand(q, latent, key_up):
    carried = (q[:, :, None] * key_up).sum(1)
    return (carried[:, None] * latent).sum(-1)


def bracket_added_up(q, latent, key_up):
    carried = torch.zeros(len(q), latent.shape[1])
    for one, row in zip(q.T, key_up, strict=True):
        carried = torch.addcmul(carried, one[:, None], row)
    return torch.stack([torch.mv(latent, one) for one in carried])


def bracket_rebuilt(q, latent, key_up):
    return q @ (latent @ key_up.T).T


def bracket_rebuilt_by_hand(q, latent, key_up):
    return q @ (latent[:, None] * key_up).sum(-1).T


def bracket_rebuilt_by_addcmul(q, latent, key_up):
    keys = torch.zeros(len(latent), len(key_up))
    for column, row in zip(latent.T, key_up.T, strict=True):
        keys = torch.addcmul(keys, column[:, None], row)
    return q @ keys.T


def bracket_rebuilt_by_addr(q, latent, key_up):
    keys = torch.zeros(len(latent), len(key_up))
    for column, row in zip(latent.T, key_up.T, strict=True):
        keys = torch.addr(keys, column, row)
    return q @ keys.T


def bracket_rebuilt_one_by_one(q, latent, key_up):
    keys = torch.stack([key_up @ row for row in latent])
    return q @ keys.T


def bracket_carried_for_each_latent(q, latent, key_up):
    return torch.stack([q @ key_up @ row for row in latent], dim=1)


def bracket_transposed(q, latent, key_up):
    return latent @ (q @ key_up).T


def bracket_scaled(q, latent, key_up):
    return (q @ key_up) @ latent.T * q.shape[-1] ** -0.5


def bracket_softmax(q, latent, key_up):
    return bracket(q, latent, key_up).softmax(-1)


def bracket_normed(q, latent, key_up):
    return (q @ key_up) @ torch.nn.functional.normalize(latent, dim=-1).T


def bracket_squeezed(q, latent, key_up):
    return bracket(q, latent, key_up).squeeze()


def bracket_rebuilt_in_numpy(q, latent, key_up):
    return torch.from_numpy(q.numpy() @ (latent.numpy() @ key_up.numpy().T).T)


def bracket_of_zeros(q, latent, key_up):
    return torch.zeros(len(q), len(latent))


def bracket_detached(q, latent, key_up):
    return q @ key_up.detach() @ latent.T


RIGHT = [
    bracket,
    bracket_by_einsum,
    bracket_query_by_query,
    bracket_turned_round,
    bracket_by_hand,
    bracket_added_up,
]

WRONG = [
    ("keys rebuilt first", bracket_rebuilt, "the keys are built first"),
    (
        "keys rebuilt without a product of matrices",
        bracket_rebuilt_by_hand,
        "the keys are built first",
    ),
    ("keys rebuilt and added up", bracket_rebuilt_by_addcmul, "the keys are built first"),
    ("keys rebuilt by outer products", bracket_rebuilt_by_addr, "the keys are built first"),
    ("keys rebuilt one by one", bracket_rebuilt_one_by_one, "the keys are built first"),
    ("carried again for each latent", bracket_carried_for_each_latent, "carry it once"),
    ("rows and columns swapped", bracket_transposed, "right shape"),
    ("scaled", bracket_scaled, "plain products: no scale"),
    ("a softmax", bracket_softmax, "no softmax"),
    ("latents normed once more", bracket_normed, "no norm"),
    ("keys rebuilt in numpy", bracket_rebuilt_in_numpy, "without numpy"),
    ("a factor detached", bracket_detached, "reach every input"),
    ("all zero", bracket_of_zeros, "plain products"),
    ("squeezed", bracket_squeezed, "no squeeze"),
]
