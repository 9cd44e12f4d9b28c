//go:build faults

package faults

// whole has every cell tried, and the page of docs written.
const whole = true
