package views

import (
	"testing"

	"whalefall/models"
)

func TestCatalogs_AuditActions(t *testing.T) {
	t.Parallel()

	for _, lang := range []string{Chinese, English} {
		words, named := catalog(t, lang), map[string]models.Action{}
		for _, action := range models.Actions {
			name := words["audit.action."+string(action)]
			if other, taken := named[name]; name == "" || taken {
				t.Errorf("%s: %s has the empty or repeated name %q (other: %q)", lang, action, name, other)
			}
			named[name] = action
		}
	}
}
