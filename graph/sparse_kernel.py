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
LANES = 16  # values of a vector: one register of AVX-512; the compiler splits it where registers are smaller
INT, LONG, FLOATS = ir.IntType(32), ir.IntType(64), ir.VectorType(ir.FloatType(), LANES)


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


def adder(vectors):
    """Return a function for compiled loops that handles vectors * LANES columns, those from `column` on.

        row[c] += sum of data[e] * block[indices[e], c] for e from `first` to before `last`

    row: float32 [w]; data, indices: of a CSR matrix; block: float32 [n, w], or uint16 that hold the bits of float16.
    ahead: how many stored values before its turn a row of the block is asked for, never one after `final`; 0: none.
    """
    @intrinsic
    def add(context, row, data, indices, block, first, last, column, ahead, final):
        def code(context, builder, signature, arguments):
            types_of = signature.args
            row, data, indices, block, first, last, column, ahead, final = arguments

            def pointer(argument, *places):
                array = context.make_array(types_of[argument])(context, builder, arguments[argument])
                return cgutils.get_item_pointer(context, builder, types_of[argument], array, places)

            def neighbor(edge):
                """Return the address in the block of what a stored value is to be multiplied by."""
                return pointer(3, builder.sext(builder.load(pointer(2, edge)), LONG), column)

            stored = ir.VectorType(ir.HalfType(), LANES) if types_of[3].dtype == types.uint16 else FLOATS
            size = 4 if stored is FLOATS else 2
            target = builder.bitcast(pointer(0, column), FLOATS.as_pointer())
            sums = [cgutils.alloca_once_value(builder, builder.load(_at(builder, target, number), align=4))
                    for number in range(vectors)]
            with cgutils.for_range_slice(builder, first, last, LONG(1)) as (edge, _):
                with builder.if_then(builder.icmp_signed(">", ahead, LONG(0))):
                    later = builder.add(edge, ahead)
                    later = builder.select(builder.icmp_signed("<", later, final), later, final)
                    _prefetch(builder, neighbor(later), vectors * LANES * size)
                value = _repeated(builder, builder.load(pointer(1, edge)))
                source = builder.bitcast(neighbor(edge), stored.as_pointer())
                for number, place in enumerate(sums):
                    values = builder.load(_at(builder, source, number), align=size)
                    values = values if stored is FLOATS else builder.fpext(values, FLOATS)
                    product = builder.fmul(value, values, flags=["contract"])
                    builder.store(builder.fadd(builder.load(place), product, flags=["contract"]), place)
            for number, place in enumerate(sums):
                builder.store(builder.load(place), _at(builder, target, number), align=4)
            return context.get_dummy_value()
        return types.void(row, data, indices, block, first, last, column, ahead, final), code
    return add


def _at(builder, address, number):
    return builder.gep(address, [INT(number)])


def _repeated(builder, value):
    """Return a vector of LANES times the value."""
    one = builder.insert_element(ir.Constant(FLOATS, ir.Undefined), value, INT(0))
    return builder.shuffle_vector(one, ir.Constant(FLOATS, ir.Undefined),
                                  ir.Constant(ir.VectorType(INT, LANES), [0] * LANES))


def _prefetch(builder, address, size):
    """Ask for the lines of the cache that hold `size` bytes from an address, to be read soon and more than once."""
    function = builder.module.declare_intrinsic("llvm.prefetch", [cgutils.voidptr_t], ir.FunctionType(
        ir.VoidType(), [cgutils.voidptr_t, INT, INT, INT]))
    address = builder.bitcast(address, cgutils.voidptr_t)
    for start in range(0, size, LINE):
        builder.call(function, [_at(builder, address, start), INT(0), INT(3), INT(1)])  # to read, in all levels, data


add_64, add_32, add_16 = adder(4), adder(2), adder(1)  # columns


def advance(indptr, indices, data, ahead, first, last, omega, right, current, previous, squares):
    """Do sparse_product.Rows.advance for the rows from `first` to before `last`; add to `squares` where it has a size.

    ahead: how many stored values before its turn a row of `current` is asked for; 0: never, where all is in the cache.
    """
    width, final = current.shape[1], indptr[-1] - 1
    row = np.empty(width, np.float32)
    for i in range(first, last):
        if len(right):
            for c in range(width):
                row[c] = load(right[i, c])
        else:
            for c in range(width):
                row[c] = 0
        edge, end = indptr[i], indptr[i + 1]
        weight = omega if edge < end else np.float32(1)
        column = 0
        while column + 64 <= width:
            add_64(row, data, indices, current, edge, end, column, ahead, final)
            column += 64
        if column + 32 <= width:
            add_32(row, data, indices, current, edge, end, column, ahead, final)
            column += 32
        if column + 16 <= width:
            add_16(row, data, indices, current, edge, end, column, ahead, final)
            column += 16
        for c in range(column, width):
            for e in range(edge, end):
                row[c] += data[e] * load(current[indices[e], c])
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
