package collectors

// AddKnown returns the sum of two numbers, nil when one of them is unknown.
func AddKnown(a, b *int64) *int64 {
	if a == nil || b == nil {
		return nil
	}
	sum := *a + *b
	return &sum
}
