"""Answers to 02.cache_bytes, right and wrong: bytes that a cache holds."""

from minids import accounting


def cache_bytes(config, context, batch, bits=16):
    a = config.attention
    per_token = 2 * a.n_kv_heads * a.head_dim * config.n_layers
    return per_token * context * batch * bits / 8


def cache_bytes_by_package(config, context, batch, bits=16):
    return accounting.cache_bytes(config, bits) * context * batch


def bytes_of_keys_alone(config, context, batch, bits=16):
    return cache_bytes(config, context, batch, bits) / 2


def bytes_for_query_heads(config, context, batch, bits=16):
    a = config.attention
    return cache_bytes(config, context, batch, bits) * a.n_heads / a.n_kv_heads


def bytes_of_model_width(config, context, batch, bits=16):
    a = config.attention
    return 2 * a.n_kv_heads * config.dim * config.n_layers * context * batch * bits / 8


def bytes_of_one_layer(config, context, batch, bits=16):
    return cache_bytes(config, context, batch, bits) / config.n_layers


def bytes_of_one_text(config, context, batch, bits=16):
    return cache_bytes(config, context, 1, bits)


def bits_not_bytes(config, context, batch, bits=16):
    return 8 * cache_bytes(config, context, batch, bits)


def bytes_at_16_bits(config, context, batch, bits=16):
    return cache_bytes(config, context, batch, 16)


def bytes_with_the_next_token(config, context, batch, bits=16):
    return cache_bytes(config, context + 1, batch, bits)


def bytes_of_whole_bytes(config, context, batch, bits=16):
    return cache_bytes(config, context, batch, 8) * (bits // 8)


def bytes_of_dim_over_heads(config, context, batch, bits=16):
    a = config.attention
    per_token = 2 * a.n_kv_heads * (config.dim // a.n_heads) * config.n_layers
    return per_token * context * batch * bits / 8


def bytes_of_32_bits(config, context, batch, bits=32):
    return cache_bytes(config, context, batch, bits)


def gigabytes(config, context, batch, bits=16):
    return cache_bytes(config, context, batch, bits) / 1e9


def cache_bytes_in_parts(config, context, batch, bits=16):
    a = config.attention
    tenth = 2 * 0.1 * a.n_kv_heads * a.head_dim * config.n_layers * context * batch * bits / 8
    return 10 * tenth


RIGHT = [cache_bytes, cache_bytes_by_package, cache_bytes_in_parts]

WRONG = [
    ("keys without values", bytes_of_keys_alone, "a key AND a value"),
    ("a key for every query head", bytes_for_query_heads, "count n_kv_heads"),
    ("the width of the model", bytes_of_model_width, "width of a head is head_dim"),
    ("dim / n_heads", bytes_of_dim_over_heads, "width of a head is head_dim"),
    ("one layer", bytes_of_one_layer, "every layer keeps"),
    ("one text", bytes_of_one_text, "every text of the batch"),
    ("gigabytes", gigabytes, "in bytes, not in bits"),
    ("bits for bytes", bits_not_bytes, "in bytes, not in bits"),
    ("always 16 bits", bytes_at_16_bits, "a byte has 8 bits"),
    ("32 bits if nothing is said", bytes_of_32_bits, "bits=16"),
    ("whole bytes for a number", bytes_of_whole_bytes, "not bits // 8"),
    ("the token to come", bytes_with_the_next_token, "nothing comes on top"),
]
