"""The innermost loop: what sixty-four mentors are worth to one mentee, and which beat a mark.

It is written in LLVM's own vectors, so that both sums of sixteen lanes stay in registers; the
compiler makes of it what the machine has (AVX-512, AVX2, NEON). `fma` rounds once on each of them, so
that a pair's score does not depend on which it is.

Measured beside a sgemm of the same shape: docs/adr/0015.
"""

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils

from matching_service.engine.jit import generated

LANES = 64
_WIDTH = 16
_VECTORS = LANES // _WIDTH
_cgutils: Any = cgutils  # it has no types
_F32, _I32, _I64 = ir.FloatType(), ir.IntType(32), ir.IntType(64)
_VECTOR = ir.VectorType(_F32, _WIDTH)
_ZEROS = ir.Constant(_VECTOR, [0.0] * _WIDTH)


@generated
def gains(  # noqa: PLR0913, PLR0917 - flat, as LLVM has it
    typing: Any, rows: Any, left: Any, right: Any, begin: Any, end: Any, tile: Any, out: Any
) -> Any:
    """Sum `left[e] * tile[rows[e]]` and `right[e] * tile[rows[e]]` for e in [begin, end).

    `rows` is uint32[n], `left` and `right` are float32[n], `tile` is float32[features, 64]
    contiguous, `out` is float32[2, 64] contiguous: out[0] gets the left sums, out[1] the right.
    """
    signature = types.void(rows, left, right, types.int64, types.int64, tile, out)

    def generate(context: Any, b: Any, sig: Any, arguments: Any) -> Any:
        pointers = [_data(context, b, sig, arguments, n) for n in (0, 1, 2, 5, 6)]
        row_at, left_at, right_at, tile_at, out_at = pointers
        fma = _cgutils.get_or_insert_function(
            b.module, ir.FunctionType(_VECTOR, [_VECTOR] * 3), f"llvm.fma.v{_WIDTH}f32"
        )
        before = b.block
        head, body, after = (b.append_basic_block(name) for name in ("head", "body", "after"))
        b.branch(head)

        b.position_at_end(head)
        e = b.phi(_I64)
        sums = [b.phi(_VECTOR) for _ in range(2 * _VECTORS)]
        b.cbranch(b.icmp_signed("<", e, arguments[4]), body, after)

        b.position_at_end(body)
        row = b.zext(b.load(b.gep(row_at, [e])), _I64)
        line = _vectors(b, b.gep(tile_at, [b.mul(row, ir.Constant(_I64, LANES))]))
        values = [_load(b, line, n) for n in range(_VECTORS)]
        factors = [_spread(b, b.load(b.gep(at, [e]))) for at in (left_at, right_at)]
        new = [
            b.call(fma, [factor, value, sums[side * _VECTORS + n]])
            for side, factor in enumerate(factors)
            for n, value in enumerate(values)
        ]
        following = b.add(e, ir.Constant(_I64, 1))
        b.branch(head)

        e.add_incoming(arguments[3], before)
        e.add_incoming(following, b.block)
        for total, added in zip(sums, new, strict=True):
            total.add_incoming(_ZEROS, before)
            total.add_incoming(added, b.block)

        b.position_at_end(after)
        lines = _vectors(b, out_at)
        for n, total in enumerate(sums):
            _store(b, lines, n, total)
        return context.get_dummy_value()

    return signature, generate


@generated
def beating(typing: Any, sums: Any, left_more: Any, right_more: Any, mark: Any) -> Any:
    """Return a word with bit n set where (sums[0, n] + left_more) * (sums[1, n] + right_more) > mark.

    `sums` is float32[2, 64] contiguous, the others are float32.
    """
    signature = types.uint64(sums, types.float32, types.float32, types.float32)

    def generate(context: Any, b: Any, sig: Any, arguments: Any) -> Any:
        lines = _vectors(b, _data(context, b, sig, arguments, 0))
        left, right, mark = (_spread(b, argument) for argument in arguments[1:])
        word = ir.Constant(_I64, 0)
        for n in range(_VECTORS):
            product = b.fmul(
                b.fadd(_load(b, lines, n), left), b.fadd(_load(b, lines, _VECTORS + n), right)
            )
            bits = b.bitcast(b.fcmp_ordered(">", product, mark), ir.IntType(_WIDTH))
            shifted = b.shl(b.zext(bits, _I64), ir.Constant(_I64, _WIDTH * n))
            word = b.or_(word, shifted)
        return word

    return signature, generate


@generated
def fused(typing: Any, left: Any, right: Any, more: Any) -> Any:
    """Return left * right + more of three float32, rounded once as `gains` does."""

    def generate(context: Any, b: Any, sig: Any, arguments: Any) -> Any:
        return b.fma(*arguments)

    return types.float32(types.float32, types.float32, types.float32), generate


@generated
def lowest(typing: Any, word: Any) -> Any:
    """Return the number of the lowest bit that is set in a uint64; 64 where none is."""

    def generate(context: Any, b: Any, sig: Any, arguments: Any) -> Any:
        return b.cttz(arguments[0], ir.Constant(ir.IntType(1), 0))

    return types.int64(types.uint64), generate


@generated
def ones(typing: Any, word: Any) -> Any:
    """Return how many bits are set in a uint64."""

    def generate(context: Any, b: Any, sig: Any, arguments: Any) -> Any:
        return b.ctpop(arguments[0])

    return types.int64(types.uint64), generate


def _data(context: Any, b: Any, sig: Any, arguments: Any, n: int) -> Any:
    """Return the address of an array's first element."""
    return _cgutils.create_struct_proxy(sig.args[n])(context, b, value=arguments[n]).data


def _vectors(b: Any, address: Any) -> Any:
    return b.bitcast(address, _VECTOR.as_pointer())


def _load(b: Any, lines: Any, n: int) -> Any:
    loaded = b.load(b.gep(lines, [ir.Constant(_I64, n)]))
    loaded.align = 4
    return loaded


def _store(b: Any, lines: Any, n: int, value: Any) -> None:
    b.store(value, b.gep(lines, [ir.Constant(_I64, n)])).align = 4


def _spread(b: Any, value: Any) -> Any:
    """Return a vector that has the value in every lane."""
    first = b.insert_element(ir.Constant(_VECTOR, ir.Undefined), value, ir.Constant(_I32, 0))
    everywhere = ir.Constant(ir.VectorType(_I32, _WIDTH), [0] * _WIDTH)
    return b.shuffle_vector(first, ir.Constant(_VECTOR, ir.Undefined), everywhere)
