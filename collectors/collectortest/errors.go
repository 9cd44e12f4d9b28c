package collectortest

import (
	"errors"
	"testing"

	"whalefall/models"
)

// WantError fails unless err has the code and the key.
func WantError(t *testing.T, err error, code models.Code, key string) {
	t.Helper()
	var e *models.Error
	if !errors.As(err, &e) || e.Code != code || e.Key != key {
		t.Errorf("got %v, want %s %s", err, code, key)
	}
}

// WantUnreachable fails unless err says that the target is unreachable for the reason.
func WantUnreachable(t *testing.T, err error, reason string) {
	t.Helper()
	WantError(t, err, models.CodeUnreachable, "error.unreachable")
	if got := models.AsError(err).Reason; got != reason {
		t.Errorf("the reason is %v, want %s", got, reason)
	}
}

// Must ends the test if there is an error.
func Must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
