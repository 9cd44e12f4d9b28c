package models_test

import (
	"testing"

	"golang.org/x/text/cases"

	"whalefall/models"
)

func TestFold(t *testing.T) {
	t.Parallel()
	texts := []string{"", "ORDERS_2026", "Straße", "İstanbul", "ΣΊΣΥΦΟΣ", "表A", "\xff\x00Z"}
	for b := range 128 {
		texts = append(texts, string(rune(b)))
	}
	for _, text := range texts {
		if got, want := models.Fold(text), cases.Fold().String(text); got != want {
			t.Errorf("fold(%q) = %q, want %q", text, got, want)
		}
	}
}
