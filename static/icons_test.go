package static

import (
	"encoding/xml"
	"net/url"
	"regexp"
	"strings"
	"testing"
)

func TestIcons(t *testing.T) {
	t.Parallel()

	rule := regexp.MustCompile(`(?m)^\.icon-([a-z0-9-]+) \{ --icon: url\("data:image/svg\+xml,([^"]+)"\) \}$`)
	assets, _ := loaded()
	rules := rule.FindAllStringSubmatch(string(assets[Icons].content), -1)
	if len(rules) != len(markups()) || len(rules) == 0 {
		t.Fatalf("got %d rules, want one for each of %d icons", len(rules), len(markups()))
	}

	for _, r := range rules {
		name, data := r[1], r[2]
		if want := `<i class="icon icon-` + name + `"></i>`; Icon(name) != want {
			t.Errorf("got markup %s, want %s", Icon(name), want)
		}
		svg, err := url.PathUnescape(data)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if err := xml.Unmarshal([]byte(svg), new(struct{ XMLName xml.Name })); err != nil || !strings.HasPrefix(svg, "<svg") {
			t.Errorf("%s: got %s, want an SVG image (%v)", name, svg, err)
		}
	}
}
