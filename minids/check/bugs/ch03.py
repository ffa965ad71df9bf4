"""Right answers and planted mistakes for chapter 03. Four of them hang in its bug museum."""

import math

import torch

# 03.segment


def segment(n, k, width, m, shared):
    return m * n - shared, m * k - shared, width // m


def segment_by_steps(n, k, width, m, shared):
    pool, chosen, narrow = n * m, k * m, int(width / m)
    for _ in range(shared):
        pool, chosen = pool - 1, chosen - 1
    return (pool, chosen, narrow)


def keeps_the_width(n, k, width, m, shared):
    return m * n - shared, m * k - shared, width


def segment_turned_round(n, k, width, m, shared):
    return m * k - shared, m * n - shared, width // m


def segment_adds_shared(n, k, width, m, shared):
    return m * n, m * k - shared, width // m


def segment_chooses_as_well(n, k, width, m, shared):
    return m * n - shared, m * k, width // m


def segment_chooses_k(n, k, width, m, shared):
    return m * n - shared, k, width // m


def segment_as_floats(n, k, width, m, shared):
    return m * n - shared, m * k - shared, width / m


def segment_always_fine(n, k, width, m, shared):
    return m * n - max(1, shared), m * k - max(1, shared), width // m


# 03.gates


def gates(x, centroids, k):
    s = (x @ centroids.T).softmax(-1)
    best = s.topk(k, dim=-1)
    return torch.zeros_like(s).scatter(-1, best.indices, best.values)


def gates_by_threshold(x, centroids, k):
    s = torch.softmax(torch.einsum("td,ed->te", x, centroids), dim=1)
    smallest = s.sort(dim=-1, descending=True).values[:, k - 1 : k]
    return s * (s >= smallest)


def gates_token_by_token(x, centroids, k):
    out = torch.zeros(len(x), len(centroids))
    for i, token in enumerate(x):
        affinity = (centroids @ token).softmax(0)
        for expert in affinity.argsort(descending=True)[:k].tolist():
            out[i, expert] = affinity[expert]
    return out


def gates_by_mask(x, centroids, k):
    logits = torch.nn.functional.linear(x, centroids)
    rest = torch.ones_like(logits, dtype=torch.bool).scatter(-1, logits.topk(k).indices, False)
    return (logits - logits.logsumexp(-1, keepdim=True)).exp().masked_fill(rest, 0.0)


def renormalised(x, centroids, k):
    s = gates(x, centroids, k)
    return s / s.sum(-1, keepdim=True)


def gates_softmax_of_chosen(x, centroids, k):
    s = x @ centroids.T
    best = s.topk(k, dim=-1)
    return torch.zeros_like(s).scatter(-1, best.indices, best.values.softmax(-1))


def gates_over_tokens(x, centroids, k):
    s = (x @ centroids.T).softmax(0)
    best = s.topk(k, dim=-1)
    return torch.zeros_like(s).scatter(-1, best.indices, best.values)


def gates_smallest(x, centroids, k):
    s = (x @ centroids.T).softmax(-1)
    best = s.topk(k, dim=-1, largest=False)
    return torch.zeros_like(s).scatter(-1, best.indices, best.values)


def gates_all(x, centroids, k):
    return (x @ centroids.T).softmax(-1)


def gates_of_one(x, centroids, k):
    s = (x @ centroids.T).softmax(-1)
    return torch.zeros_like(s).scatter(-1, s.topk(k, dim=-1).indices, 1.0)


def gates_detached(x, centroids, k):
    return gates(x, centroids, k).detach()


def gates_logits(x, centroids, k):
    s = x @ centroids.T
    best = s.topk(k, dim=-1)
    return torch.zeros_like(s).scatter(-1, best.indices, best.values)


def _gates_of(affinities, k):
    best = affinities.topk(k, dim=-1)
    return torch.zeros_like(affinities).scatter(-1, best.indices, best.values)


def gates_scaled(x, centroids, k):
    return _gates_of((x @ centroids.T / x.shape[1] ** 0.5).softmax(-1), k)


def gates_sharpened(x, centroids, k):
    return _gates_of((2 * x @ centroids.T).softmax(-1), k)


def gates_to_base_two(x, centroids, k):
    powers = torch.exp2(x @ centroids.T)
    return _gates_of(powers / powers.sum(-1, keepdim=True), k)


def gates_by_sigmoid(x, centroids, k):
    s = (x @ centroids.T).sigmoid()
    return _gates_of(s / s.sum(-1, keepdim=True), k)


def gates_by_exp(x, centroids, k):
    powers = torch.exp(x @ centroids.T)
    return _gates_of(powers / powers.sum(-1, keepdim=True), k)


# 03.layer


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


# The balance loss of the museum


def balance(scores, chosen, n_devices):
    (t, e), k = scores.shape, chosen.shape[1]
    f = torch.bincount(chosen.flatten(), minlength=e) * e / (k * t)
    by_device = f.view(n_devices, -1).mean(1), scores.mean(0).view(n_devices, -1).sum(1)
    return (by_device[0] * by_device[1]).sum()


def counts_alone(scores, chosen, n_devices):
    (t, e), k = scores.shape, chosen.shape[1]
    f = torch.bincount(chosen.flatten(), minlength=e) * e / (k * t)
    f = f.view(n_devices, -1).mean(1).to(scores.dtype)
    return f.square().mean()


# 03.measure


def special(chosen, domain, n_experts):
    table = torch.zeros(int(domain.max()) + 1, n_experts)
    for column in chosen.T:
        table.index_put_((domain, column), torch.ones(len(domain)), accumulate=True)
    p = table / table.sum()
    p_d, p_e = p.sum(1, keepdim=True), p.sum(0, keepdim=True)
    shared = torch.xlogy(p, p).sum() - torch.xlogy(p, p_d * p_e).sum()
    return float(shared / -torch.xlogy(p_d, p_d).sum())


def special_by_entropies(chosen, domain, n_experts):
    def entropy(labels):
        p = torch.bincount(labels).double() / len(labels)
        return float(-torch.xlogy(p, p).sum())

    d, e = domain.repeat_interleave(chosen.shape[1]), chosen.flatten()
    return (entropy(d) + entropy(e) - entropy(d * n_experts + e)) / entropy(d)


def special_with_nan(chosen, domain, n_experts):
    pair = (domain[:, None] * n_experts + chosen).flatten()
    p = torch.bincount(pair, minlength=4 * n_experts).view(-1, n_experts) / len(pair)
    p_d, p_e = p.sum(1, keepdim=True), p.sum(0, keepdim=True)
    return float((p * (p / (p_d * p_e)).log()).sum() / -(p_d * p_d.log()).sum())


def special_in_nats(chosen, domain, n_experts):
    p = torch.bincount(domain).double() / len(domain)
    return special(chosen, domain, n_experts) * float(-torch.xlogy(p, p).sum())


def special_over_ln4(chosen, domain, n_experts):
    return special_in_nats(chosen, domain, n_experts) / math.log(4)


def special_against_even(chosen, domain, n_experts):
    p = torch.bincount((domain[:, None] * n_experts + chosen).flatten(), minlength=4 * n_experts)
    p = p / p.sum()
    return float(math.log(len(p)) + torch.xlogy(p, p).sum()) / math.log(4)


def special_by_share(chosen, domain, n_experts):
    table = torch.bincount(
        (domain[:, None] * n_experts + chosen).flatten(), minlength=4 * n_experts
    )
    table = table.view(-1, n_experts).float()
    return float(table.amax(0).sum() / table.sum())


def special_by_correlation(chosen, domain, n_experts):
    both = torch.stack([domain.repeat_interleave(chosen.shape[1]), chosen.flatten()])
    return float(torch.corrcoef(both.float())[0, 1])


def special_of_first(chosen, domain, n_experts):
    return special(chosen[:, :1], domain, n_experts)


def special_of_four(chosen, domain, n_experts):
    p = torch.zeros(4, n_experts)
    for column in chosen.T:
        p.index_put_((domain, column), torch.tensor(1 / chosen.numel()), accumulate=True)
    p_d, p_e = p.sum(1), p.sum(0)
    joint, apart = torch.xlogy(p, p).sum(), torch.xlogy(p, p_d[:, None] * p_e).sum()
    return float((joint - apart) / -torch.xlogy(p_d, p_d).sum())


# 03.predict, 03.explain

NUMBERS = {"2 of 16": 120, "8 of 64": 4_426_165_368, "7 of 63": 553_270_671}
NUMBERS |= {"16B, share active": 8 / 66}
EXPLAINED = {
    "raw": 0.48,
    "renormalised": 0,
    "because": "Over one expert the gate is p / p, which is 1 whatever the logits are.",
}


RIGHT = {
    "03.segment": [segment, segment_by_steps],
    "03.gates": [gates, gates_by_threshold, gates_token_by_token, gates_by_mask],
    "03.layer": [layer, layer_by_table, layer_token_by_token],
    "03.measure": [special, special_by_entropies],
    "03.predict": [NUMBERS, NUMBERS | {"16B, share active": 0.1212}],
    "03.explain": [
        EXPLAINED,
        {
            "raw": 3 * 0.8 * 0.2,
            "renormalised": 0.0,
            "because": "A constant gate has derivative zero, so nothing flows back to the router.",
        },
        EXPLAINED | {"because": "With one expert chosen the gate never changes: it is p over p."},
        EXPLAINED | {"because": "Divided by itself, the gate is always one, and has no slope."},
    ],
}

WRONG = {
    "03.segment": [
        ("width kept", keeps_the_width, "a larger model, not a finer one"),
        ("chosen before routed", segment_turned_round, "the order is routed, chosen, width"),
        ("shared ones added", segment_adds_shared, "taken out of them"),
        ("chooses the shared ones too", segment_chooses_as_well, "left to choose"),
        ("chooses k", segment_chooses_k, "all m pieces"),
        ("a float", segment_as_floats, "three whole numbers"),
        ("always one shared", segment_always_fine, "GShard's shape itself"),
    ],
    "03.gates": [
        ("renormalised over the chosen", renormalised, "do not renormalise"),
        ("softmax of the chosen", gates_softmax_of_chosen, "to them alone"),
        ("softmax over tokens", gates_over_tokens, "softmax over the experts of one token"),
        ("the k smallest", gates_smallest, "fit the token best"),
        ("all experts", gates_all, "the others get exactly 0"),
        ("gates of one", gates_of_one, "sum to 1"),
        ("no gradient", gates_detached, "the router still learns"),
        ("no softmax", gates_logits, "sum to 1"),
        ("products scaled as in attention", gates_scaled, "no scale"),
        ("a temperature", gates_sharpened, "no temperature"),
        ("powers of two", gates_to_base_two, "the softmax itself"),
        ("sigmoids that sum to 1", gates_by_sigmoid, "the softmax itself"),
        ("exp of large logits", gates_by_exp, "returns NaN"),
    ],
    "03.layer": [
        ("vectors for rows", layer_of_vectors, "an expert takes rows"),
        ("no residual", layer_without_residual, "it returns x"),
        ("shared ones averaged", layer_mean_of_shared, "not averaged"),
        ("shared ones behind a gate", shared_behind_a_gate, "shared experts have no gate"),
        ("gates forgotten", layer_without_gates, "times its gate"),
        ("input gated", layer_gates_the_input, "not applied to the input"),
        ("gates normalised", layer_normalises, "not made to sum to 1"),
        ("all tokens computed", computes_everything, "pick the rows first"),
        ("gates detached", layer_detaches, "no router would learn"),
        ("the best expert alone", layer_first_only, "every chosen expert is added"),
    ],
    "03.measure": [
        ("nan in empty cells", special_with_nan, "returns NaN"),
        ("in nats", special_in_nats, "Divide I by H"),
        ("over ln 4", special_over_ln4, "not ln 4"),
        ("against an even table", special_against_even, "not with an even table"),
        ("share of the best domain", special_by_share, "product of the margins"),
        ("correlation", special_by_correlation, "names, not sizes"),
        ("the first choice alone", special_of_first, "it is I / H"),
        ("always four domains", special_of_four, "index 4 is out of bounds"),
    ],
    "03.predict": [
        ("ordered pairs", NUMBERS | {"2 of 16": 240}, "halve them"),
        ("with repetition", NUMBERS | {"8 of 64": 64**8}, "not 64 ** 8"),
        ("four times as many", NUMBERS | {"8 of 64": 480}, "ways multiply"),
        ("shared one in the pool", NUMBERS | {"7 of 63": 621_216_192}, "leaves the pool"),
        ("shared ones forgotten", NUMBERS | {"16B, share active": 6 / 64}, "above and below"),
        ("an answer left out", {"2 of 16": 120}, "the keys are"),
    ],
    "03.explain": [
        ("the expert's output", EXPLAINED | {"raw": 3}, "dp / dlogit"),
        ("the gate squared", EXPLAINED | {"raw": 1.92}, "not p p"),
        ("without the expert", EXPLAINED | {"raw": 0.16}, "the gate alone"),
        ("sign flipped", EXPLAINED | {"raw": -0.48}, "which sign"),
        ("both alike", EXPLAINED | {"renormalised": 0.48}, "p / p"),
        ("a word", EXPLAINED | {"because": "It is constant."}, "a sentence"),
        ("no reason", EXPLAINED | {"because": "The router just does not learn well in this case."},
         "whatever the logits are"),
        ("one expert, no gate",
         EXPLAINED | {"because": "Only one expert was chosen and the router is not trained well."},
         "whatever the logits are"),
        ("text", EXPLAINED | {"raw": "0.48"}, "write a plain number"),
        ("an entry left out", {"raw": 0.48}, "three entries"),
    ],
}  # fmt: skip
