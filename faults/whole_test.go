//go:build faults

package faults

// whole makes TestFaults try every cell and write the document.
const whole = true
