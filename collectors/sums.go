package collectors

// AddKnown is the sum of two numbers, unknown when one is.
func AddKnown(a, b *int64) *int64 {
	if a == nil || b == nil {
		return nil
	}
	sum := *a + *b
	return &sum
}
