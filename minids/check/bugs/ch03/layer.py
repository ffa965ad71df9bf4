"""Answers to 03.layer, right and wrong: what the experts of a token add up to."""

import torch


def layer(x, gates, experts, shared):
    out = x
    for expert in shared:
        out = out + expert(x)
    for i, expert in enumerate(experts):
        rows = gates[:, i].nonzero().flatten()
        if len(rows):
            out = out.index_add(0, rows, gates[rows, i, None] * expert(x[rows]))
    return out


def layer_by_table(x, gates, experts, shared):
    parts = [torch.zeros_like(x) for _ in experts]
    for i, expert in enumerate(experts):
        chose = gates[:, i] > 0
        if chose.any():
            parts[i] = torch.zeros_like(x).masked_scatter(chose[:, None], expert(x[chose]))
    routed = sum(gates[:, i : i + 1] * part for i, part in enumerate(parts))
    return x + routed + sum((expert(x) for expert in shared), torch.zeros_like(x))


def layer_token_by_token(x, gates, experts, shared):
    rows = []
    for token, own in zip(x.split(1), gates, strict=True):
        routed = [own[i] * experts[i](token) for i in own.nonzero().flatten().tolist()]
        rows.append(token + sum(routed) + sum(expert(token) for expert in shared))
    return torch.cat(rows)


def layer_of_vectors(x, gates, experts, shared):
    rows = []
    for token, own in zip(x, gates, strict=True):
        routed = [own[i] * experts[i](token) for i in own.nonzero().flatten().tolist()]
        rows.append(token + sum(routed) + sum(expert(token) for expert in shared))
    return torch.stack(rows)


def layer_without_residual(x, gates, experts, shared):
    return layer(x, gates, experts, shared) - x


def layer_mean_of_shared(x, gates, experts, shared):
    out = layer(x, gates, experts, [])
    return out + sum(expert(x) for expert in shared) / len(shared) if shared else out


def layer_of_the_first_shared(x, gates, experts, shared):
    return layer(x, gates, experts, shared[:1])


def shared_behind_a_gate(x, gates, experts, shared):
    out = layer(x, gates, experts, [])
    weight = gates.amax(-1, keepdim=True)
    return out + sum((weight * expert(x) for expert in shared), torch.zeros_like(x))


def layer_without_gates(x, gates, experts, shared):
    return layer(x, (gates != 0).to(x.dtype), experts, shared)


def layer_gates_the_input(x, gates, experts, shared):
    out = layer(x, torch.zeros_like(gates), experts, shared)
    for i, expert in enumerate(experts):
        rows = gates[:, i].nonzero().flatten()
        if len(rows):
            out = out.index_add(0, rows, expert(gates[rows, i, None] * x[rows]))
    return out


def layer_normalises(x, gates, experts, shared):
    total = gates.sum(-1, keepdim=True)
    return layer(x, gates / total.where(total > 0, 1.0), experts, shared)


def computes_everything(x, gates, experts, shared):
    out = x + sum((expert(x) for expert in shared), torch.zeros_like(x))
    for i, expert in enumerate(experts):
        out = out + gates[:, [i]] * expert(x)
    return out


def layer_detaches(x, gates, experts, shared):
    return layer(x, gates.detach(), experts, shared)


def layer_first_only(x, gates, experts, shared):
    best = torch.zeros_like(gates).scatter(-1, gates.argmax(-1, keepdim=True), 1.0)
    return layer(x, gates * best, experts, shared)


def layer_of_frozen_experts(x, gates, experts, shared):
    with torch.no_grad():
        fixed = layer(torch.zeros_like(x), torch.zeros_like(gates), experts, [])
        both = [expert(x) for expert in shared]
        rows = [gates[:, i].nonzero().flatten() for i in range(len(experts))]
        made = [expert(x[row]) for expert, row in zip(experts, rows, strict=True)]
    out = x + sum(both, fixed)
    for i, (row, y) in enumerate(zip(rows, made, strict=True)):
        out = out.index_add(0, row, gates[row, i, None] * y)
    return out


def layer_on_a_copy(x, gates, experts, shared):
    return layer(x, gates, experts, shared) - x + x.detach().clone()


def layer_of_layers(x, gates, experts, shared):
    for expert in shared:
        x = x + expert(x)
    return layer(x, gates, experts, [])


def layer_in_turn(x, gates, experts, shared):
    out = layer(x, torch.zeros_like(gates), experts, shared)
    for i, expert in enumerate(experts):
        rows = gates[:, i].nonzero().flatten()
        out = out.index_add(0, rows, gates[rows, i, None] * expert(out[rows]))
    return out


def layer_overwrites(x, gates, experts, shared):
    routed = torch.zeros_like(x)
    for i, expert in enumerate(experts):
        rows = gates[:, i].nonzero().flatten()
        routed[rows] = gates[rows, i, None] * expert(x[rows])
    return routed + layer(x, torch.zeros_like(gates), experts, shared)


RIGHT = [layer, layer_by_table, layer_token_by_token]

WRONG = [
    ("vectors for rows", layer_of_vectors, "an expert takes rows"),
    ("no residual", layer_without_residual, "it returns x"),
    ("the first shared one alone", layer_of_the_first_shared, "go through all of it"),
    ("shared ones averaged", layer_mean_of_shared, "not averaged"),
    ("shared ones behind a gate", shared_behind_a_gate, "shared experts have no gate"),
    ("shared experts one after the other", layer_of_layers, "not the sum so far"),
    ("routed experts one after the other", layer_in_turn, "not the sum so far"),
    ("the last expert overwrites", layer_overwrites, "forgets who came before"),
    ("gates forgotten", layer_without_gates, "times its gate"),
    ("input gated", layer_gates_the_input, "not applied to the input"),
    ("gates normalised", layer_normalises, "not made to sum to 1"),
    ("all tokens computed", computes_everything, "pick the rows first"),
    ("gates detached", layer_detaches, "no router would learn"),
    ("experts under no_grad", layer_of_frozen_experts, "no torch.no_grad"),
    ("tokens copied", layer_on_a_copy, "no torch.tensor(x)"),
    ("the best expert alone", layer_first_only, "every chosen expert is added"),
]
