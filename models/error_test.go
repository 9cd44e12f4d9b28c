package models_test

import (
	"errors"
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"whalefall/models"
)

func TestIs(t *testing.T) {
	t.Parallel()
	missing := models.NotFound("instance.not_found")
	for name, c := range map[string]struct {
		err  error
		code models.Code
		want bool
	}{
		"the code itself":           {missing, models.CodeNotFound, true},
		"another code":              {missing, models.CodeConflict, false},
		"wrapped":                   {fmt.Errorf("load: %w", missing), models.CodeNotFound, true},
		"joined":                    {errors.Join(errors.New("first"), missing), models.CodeNotFound, true},
		"unclassified is internal":  {errors.New("disk"), models.CodeInternal, true},
		"unclassified is not found": {errors.New("disk"), models.CodeNotFound, false},
		"nil is not internal":       {nil, models.CodeInternal, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := models.Is(c.err, c.code); got != c.want {
				t.Errorf("Is(%v, %s) = %t, want %t", c.err, c.code, got, c.want)
			}
		})
	}
}

func TestError_Members(t *testing.T) {
	t.Parallel()
	if got := models.NotFound("run.not_found").Members(); got != nil {
		t.Errorf("an error without members: got %v, want nil", got)
	}
	e := &models.Error{
		InstanceID: 7, RefreshID: 8, RetryAfter: 90 * time.Second, Reason: "refused", Grant: "GRANT x TO y;",
		Extra: map[string]any{"sqlstate": "42501"},
	}
	want := map[string]any{
		"instance_id": int64(7), "refresh_id": int64(8), "retry_after": 90, "reason": "refused", "grant": "GRANT x TO y;",
		"sqlstate": "42501",
	}
	if got := e.Members(); !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if len(e.Extra) != 1 {
		t.Errorf("Members changed Extra: %v", e.Extra)
	}
}

func TestWholeSeconds(t *testing.T) {
	t.Parallel()
	for wait, want := range map[time.Duration]time.Duration{
		-time.Minute: time.Second, 0: time.Second, time.Millisecond: time.Second, time.Second: time.Second,
		time.Second + 1: 2 * time.Second, 90 * time.Second: 90 * time.Second,
	} {
		if got := models.WholeSeconds(wait); got != want {
			t.Errorf("WholeSeconds(%s) = %s, want %s", wait, got, want)
		}
	}
}

func TestError_Stored(t *testing.T) {
	t.Parallel()
	e := &models.Error{
		Code: models.CodeUnreachable, Key: "error.unreachable", Args: models.Args("Name", "n"),
		InstanceID: 7, RefreshID: 8, RetryAfter: 90 * time.Second, Reason: "refused", Grant: "GRANT x TO y;",
		Extra: map[string]any{"sqlstate": "42501"},
	}
	got, err := models.StoreAndReadError(e)
	check(t, err)
	if diff := cmp.Diff(e, got); diff != "" {
		t.Errorf("want -, got +:\n%s", diff)
	}
}
