"""The compiled loop of sparse_product.py. Imported only where Numba is installed.

Blocks are float32, or uint16 that hold the bits of float16 (Numba has no such type on a processor): half the memory
traffic; sums are float32 all the same. The rows that a product is about to need are asked for in advance: they lie
anywhere in memory, and waiting for them is what such a product spends most of its time on.
"""
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

LINE = 64   # bytes of a line of the cache


def signature(block):
    """Return the signature of `advance` for blocks of "float32" or "uint16"."""
    return ("void(int64[::1], int32[::1], float32[::1], int64, int64, int64, float32, {0}[:, ::1], {0}[:, ::1], "
            "{0}[:, ::1], float64[::1])").format(block)


@intrinsic
def load(context, value):
    """Return a stored value as float32."""
    def code(context, builder, signature, arguments):
        if signature.args[0] != types.uint16:
            return arguments[0]
        return builder.fpext(builder.bitcast(arguments[0], ir.HalfType()), ir.FloatType())
    return types.float32(value), code


@intrinsic
def rounded(context, value, block):
    """Return a float32 as what is stored in `block`."""
    def code(context, builder, signature, arguments):
        if signature.return_type != types.uint16:
            return arguments[0]
        return builder.bitcast(builder.fptrunc(arguments[0], ir.HalfType()), ir.IntType(16))
    return block.dtype(types.float32, block), code


@intrinsic
def prefetch(context, block, row, column):
    """Ask for the line of the cache that holds block[row, column], to be read soon and more than once."""
    def code(context, builder, signature, arguments):
        kind, number = signature.args[0], ir.IntType(32)
        array = context.make_array(kind)(context, builder, arguments[0])
        address = builder.bitcast(cgutils.get_item_pointer(context, builder, kind, array, arguments[1:]),
                                  cgutils.voidptr_t)
        function = builder.module.declare_intrinsic("llvm.prefetch", [cgutils.voidptr_t], ir.FunctionType(
            ir.VoidType(), [cgutils.voidptr_t, number, number, number]))
        builder.call(function, [address, number(0), number(3), number(1)])  # to read, keep in all levels, data
        return context.get_dummy_value()
    return types.void(block, types.int64, types.int64), code


def advance(indptr, indices, data, ahead, first, last, omega, right, current, previous, squares):
    """Do sparse_product.Rows.advance for the rows from `first` to before `last`; add to `squares` where it has a size.

    ahead: how many stored values before its turn a row of `current` is asked for; 0: never, where all is in the cache.
    """
    width, final = current.shape[1], indptr[-1] - 1
    row, line = np.empty(width, np.float32), LINE // current.itemsize
    for i in range(first, last):
        if len(right):
            for c in range(width):
                row[c] = load(right[i, c])
        else:
            for c in range(width):
                row[c] = 0
        edge, end = indptr[i], indptr[i + 1]
        weight = omega if edge < end else np.float32(1)
        while edge + 4 <= end:
            if ahead:
                for later in range(edge + ahead, edge + ahead + 4):
                    neighbor = np.int64(indices[min(later, final)])
                    for c in range(0, width, line):
                        prefetch(current, neighbor, np.int64(c))
            v0, v1, v2, v3 = data[edge], data[edge + 1], data[edge + 2], data[edge + 3]
            x0, x1 = current[indices[edge]], current[indices[edge + 1]]
            x2, x3 = current[indices[edge + 2]], current[indices[edge + 3]]
            for c in range(width):
                row[c] += v0 * load(x0[c]) + v1 * load(x1[c]) + v2 * load(x2[c]) + v3 * load(x3[c])
            edge += 4
        while edge < end:
            if ahead:
                neighbor = np.int64(indices[min(edge + ahead, final)])
                for c in range(0, width, line):
                    prefetch(current, neighbor, np.int64(c))
            v0, x0 = data[edge], current[indices[edge]]
            for c in range(width):
                row[c] += v0 * load(x0[c])
            edge += 1
        if len(squares):
            for c in range(width):
                difference = row[c] - load(current[i, c])
                squares[c] += np.float64(difference) * difference
        out = previous[i]
        if weight == 1:
            for c in range(width):
                out[c] = rounded(row[c], out)
        else:
            for c in range(width):
                before = load(out[c])
                out[c] = rounded(before + weight * (row[c] - before), out)
