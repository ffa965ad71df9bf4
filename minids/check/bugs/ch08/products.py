"""Answers to 08.products, right and wrong: the three products of a layer in eight bits."""

import torch

ROW, COLUMN, SQUARE = (1, 128), (128, 1), (128, 128)


def products(x, w, g, q):
    x8, w8 = q(x, ROW), q(w, SQUARE)
    y, dx = x8 @ w8.T, q(g, ROW) @ w8
    return y, dx, q(g, COLUMN).T @ q(x8, COLUMN)


def products_by_einsum(x, w, g, q):
    x8, w8 = q(x, ROW), q(w, SQUARE)
    y = torch.einsum("ti,oi->to", x8, w8)
    dx = torch.einsum("to,oi->ti", q(g, ROW), w8)
    return y, dx, torch.einsum("to,ti->oi", q(g, COLUMN), q(x8, COLUMN))


def products_turned_before(x, w, g, q):
    """The same tiles along the tokens: of a transposed matrix they are rows."""
    x8, w8 = q(x, ROW), q(w, SQUARE)
    dw = q(g.T.contiguous(), ROW) @ q(x8.T.contiguous(), ROW).T
    return x8 @ q(w.T, SQUARE), q(g, ROW) @ w8, dw


def products_turned_twice(x, w, g, q):
    y, dx, _ = products(x, w, g, q)
    return y, dx, q(g.T, COLUMN) @ q(q(x, ROW).T, COLUMN).T


def products_not_rounded(x, w, g, q):
    return x @ w.T, g @ w, g.T @ x


def products_forward_alone(x, w, g, q):
    return products(x, w, g, q)[0], g @ w, g.T @ x


def products_weights_in_rows(x, w, g, q):
    x8, w8 = q(x, ROW), q(w, ROW)
    return x8 @ w8.T, q(g, ROW) @ w8, q(g, COLUMN).T @ q(x8, COLUMN)


def products_same_tiles(x, w, g, q):
    y, dx, _ = products(x, w, g, q)
    return y, dx, q(g, ROW).T @ q(x, ROW)


def products_exact_x(x, w, g, q):
    y, dx, _ = products(x, w, g, q)
    return y, dx, q(g, COLUMN).T @ q(x, COLUMN)


def products_g_in_columns(x, w, g, q):
    y, _, dw = products(x, w, g, q)
    return y, q(g, COLUMN) @ q(w, SQUARE), dw


def products_transposed(x, w, g, q):
    y, dx, dw = products(x, w, g, q)
    return y, dx, dw.T


def products_flipped(x, w, g, q):
    y, dx, dw = products(x, w, g, q)
    return y, -dx, dw


def products_swapped(x, w, g, q):
    y, dx, dw = products(x, w, g, q)
    return y, dw, dx


def products_squeezed(x, w, g, q):
    return tuple(m.squeeze() for m in products(x, w, g, q))


def products_all_zero(x, w, g, q):
    return tuple(0 * m for m in products(x, w, g, q))


def products_by_name(x, w, g, q):
    """The arguments of q by the names that the exercise gives them."""
    x8, w8 = q(matrix=x, block=ROW), q(matrix=w, block=SQUARE)
    dw = q(matrix=g, block=COLUMN).mT @ q(matrix=x8, block=COLUMN)
    return torch.nn.functional.linear(x8, w8), q(matrix=g, block=ROW).mm(w8), dw


RIGHT = [products, products_by_einsum, products_turned_before, products_by_name]

WRONG = [
    ("nothing rounded", products_not_rounded, "x in tiles and w in blocks"),
    ("forward alone", products_forward_alone, "g in tiles and the same w"),
    ("weights in rows", products_weights_in_rows, "w in (128, 128)"),
    ("tiles not turned", products_same_tiles, "both tiles turn"),
    ("tiles turned twice", products_turned_twice, "both tiles turn"),
    ("x from before", products_exact_x, "only the rounded copy"),
    ("g in columns", products_g_in_columns, "along the outputs"),
    ("transposed", products_transposed, "gradient of w has the right shape"),
    ("flipped sign", products_flipped, "dx = g w"),
    ("gradients swapped", products_swapped, "gradient of x has the right shape"),
    ("squeezed", products_squeezed, "no squeeze"),
    ("all zero", products_all_zero, "y = x w"),
]
