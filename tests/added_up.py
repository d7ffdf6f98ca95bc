"""A function that `test_kept_function` compiles with numba."""

from wavenet_app.compiling.table_entry import arguments


def add_up(call):
    """Adds factor x table[row, places[row]] + step to sums[row]."""
    pair, sums, factor, step = arguments(call)
    for row in range(len(pair.table)):
        sums[row] += factor * pair.table[row, pair.places[row] % pair.table.shape[1]] + step
