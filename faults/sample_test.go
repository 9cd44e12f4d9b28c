//go:build !faults

package faults

const whole = false
