// Functions that stand for operators and values where a mutant may change them: a change takes place if its number is
// that of the environment variable MUTANT. Compiled into a test binary only, see TestMutantsOfSource.

package collectors

import (
	"cmp"
	"os"
	"slices"
	"strconv"
)

var mutantInEffect, _ = strconv.Atoi(os.Getenv("MUTANT"))

type mutantNumber interface {
	~int | ~int8 | ~int16 | ~int32 | ~int64 | ~uint | ~uint8 | ~uint16 | ~uint32 | ~uint64 | ~float32 | ~float64
}

// mutantKeeps is false for what is to be left out.
func mutantKeeps(n int) bool { return n != mutantInEffect }

func mutantNot[T ~bool](n int, value T) T { return value == T(mutantKeeps(n)) }

func mutantForce[T ~bool](n int, value, forced T) T {
	if mutantKeeps(n) {
		return value
	}
	return forced
}

func mutantShift[T mutantNumber](n int, value T) T {
	if mutantKeeps(n) {
		return value
	}
	return value + 1
}

func mutantDrop[T any](n int, value T) (zero T) {
	if mutantKeeps(n) {
		return value
	}
	return zero
}

// mutantPick is one of the operands, or the value if no mutant from n on is in effect.
func mutantPick[T any](n int, value T, operands ...T) T {
	if i := mutantInEffect - n; i >= 0 && i < len(operands) {
		return operands[i]
	}
	return value
}

func mutantAdd[T cmp.Ordered](n int, x, y T) T      { return mutantPick(n, x+y, x, y) }
func mutantSub[T mutantNumber](n int, x, y T) T     { return mutantPick(n, x-y, x, y) }
func mutantMul[T mutantNumber](n int, x, y T) T     { return mutantPick(n, x*y, x, y) }
func mutantLess[T cmp.Ordered](n int, x, y T) bool  { return mutantPick(n, x < y, x <= y) }
func mutantMost[T cmp.Ordered](n int, x, y T) bool  { return mutantPick(n, x <= y, x < y) }
func mutantMore[T cmp.Ordered](n int, x, y T) bool  { return mutantPick(n, x > y, x >= y) }
func mutantLeast[T cmp.Ordered](n int, x, y T) bool { return mutantPick(n, x >= y, x > y) }

// mutantMap is the map without one of the keys if a mutant from n on is in effect.
func mutantMap[M ~map[K]V, K comparable, V any](n int, m M, keys ...K) M {
	if i := mutantInEffect - n; i >= 0 && i < len(keys) {
		delete(m, keys[i])
	}
	return m
}

func mutantList[L ~[]E, E any](n int, list L) L {
	if i := mutantInEffect - n; i >= 0 && i < len(list) {
		return slices.Delete(list, i, i+1)
	}
	return list
}
