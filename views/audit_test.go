package views

import (
	"testing"

	"whalefall/models"
)

func TestEveryActionHasAName(t *testing.T) {
	for _, lang := range []string{Chinese, English} {
		words, named := catalogue(t, lang), map[string]models.Action{}
		for _, action := range models.Actions {
			name := words["audit.action."+string(action)]
			if other, taken := named[name]; name == "" || taken {
				t.Errorf("%s: %s is called %q, as is %q", lang, action, name, other)
			}
			named[name] = action
		}
	}
}
