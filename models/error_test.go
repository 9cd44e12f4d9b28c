package models_test

import (
	"errors"
	"fmt"
	"testing"

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
