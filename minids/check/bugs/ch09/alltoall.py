"""Answers to 09.alltoall, right and wrong: seconds of tokens on two kinds of links."""


def seconds(dim, nodes, experts, out_bytes, back_bytes, ib, nvlink):
    return sum(
        max(nodes * dim * b / ib, experts * dim * b / nvlink) for b in (out_bytes, back_bytes)
    )


def seconds_of_the_slower_link(dim, nodes, experts, out_bytes, back_bytes, ib, nvlink):
    size = dim * (out_bytes + back_bytes)
    by_link = [nodes / ib, experts / nvlink]
    return size * max(by_link)


def seconds_one_copy_per_expert(dim, nodes, experts, out_bytes, back_bytes, ib, nvlink):
    return seconds(dim, experts, experts, out_bytes, back_bytes, ib, nvlink)


def seconds_one_link_after_the_other(dim, nodes, experts, out_bytes, back_bytes, ib, nvlink):
    return dim * (out_bytes + back_bytes) * (nodes / ib + experts / nvlink)


def seconds_of_the_faster_link(dim, nodes, experts, out_bytes, back_bytes, ib, nvlink):
    return dim * (out_bytes + back_bytes) * min(nodes / ib, experts / nvlink)


def seconds_out_only(dim, nodes, experts, out_bytes, back_bytes, ib, nvlink):
    return dim * out_bytes * max(nodes / ib, experts / nvlink)


def seconds_fp8_both_ways(dim, nodes, experts, out_bytes, back_bytes, ib, nvlink):
    return seconds(dim, nodes, experts, out_bytes, out_bytes, ib, nvlink)


def seconds_in_bits(dim, nodes, experts, out_bytes, back_bytes, ib, nvlink):
    return 8 * seconds(dim, nodes, experts, out_bytes, back_bytes, ib, nvlink)


def seconds_links_swapped(dim, nodes, experts, out_bytes, back_bytes, ib, nvlink):
    return seconds(dim, nodes, experts, out_bytes, back_bytes, nvlink, ib)


def seconds_of_one_number(dim, nodes, experts, out_bytes, back_bytes, ib, nvlink):
    return seconds(1, nodes, experts, out_bytes, back_bytes, ib, nvlink)


def seconds_to_the_millisecond(dim, nodes, experts, out_bytes, back_bytes, ib, nvlink):
    return round(seconds(dim, nodes, experts, out_bytes, back_bytes, ib, nvlink), 3)


def seconds_to_the_microsecond(dim, nodes, experts, out_bytes, back_bytes, ib, nvlink):
    return round(seconds(dim, nodes, experts, out_bytes, back_bytes, ib, nvlink), 6)


def seconds_across_once(dim, nodes, experts, out_bytes, back_bytes, ib, nvlink):
    return seconds(dim, 1, experts, out_bytes, back_bytes, ib, nvlink)


RIGHT = [seconds, seconds_of_the_slower_link]

WRONG = [
    ("one copy for each expert", seconds_one_copy_per_expert, "once for each node"),
    ("one link after the other", seconds_one_link_after_the_other, "in turn"),
    ("the faster link", seconds_of_the_faster_link, "slower"),
    ("no way back", seconds_out_only, "come back"),
    ("FP8 both ways", seconds_fp8_both_ways, "back_bytes"),
    ("bits", seconds_in_bits, "bytes per second"),
    ("links swapped", seconds_links_swapped, "which link works inside"),
    ("rounded to milliseconds", seconds_to_the_millisecond, "seconds as they are"),
    ("rounded to microseconds", seconds_to_the_microsecond, "seconds as they are"),
    ("across once for all nodes", seconds_across_once, "once for each of them"),
    ("one number", seconds_of_one_number, "dim"),
]
