package models_test

import (
	"strings"
	"testing"

	"whalefall/models"
)

func TestParseHostRule(t *testing.T) {
	t.Parallel()
	for typed, want := range map[string]string{
		"db.Example.COM.":             "db.example.com",
		"  db1 ":                      "db1",
		"10.1.2.3":                    "10.1.2.3",
		"::ffff:10.1.2.3":             "10.1.2.3",
		"[2001:DB8:0:0::1]":           "2001:db8::1",
		"fe80::1%eth0":                "fe80::1%eth0",
		"10.1.2.3/8":                  "10.0.0.0/8",
		"2001:db8:0:1::1/64":          "2001:db8:0:1::/64",
		"*.Example.com":               "*.example.com",
		"db-*.*.example.com.":         "db-*.*.example.com",
		"*":                           "*",
		"10.1.*.*":                    "10.1.*.*",
		"10.*.2.3":                    "10.*.2.3",
		"":                            "",
		" ":                           "",
		"a b":                         "",
		"a\nb":                        "",
		"a,b":                         "",
		"http://db":                   "",
		"db:5432":                     "",
		"主机":                          "",
		"a..b":                        "",
		"-*":                          "",
		"256.1.1.1":                   "",
		"1.2.3":                       "",
		"256.1.1.*":                   "256.1.1.*",
		"300.*.1.1":                   "",
		"10.0.0.0/33":                 "",
		"10.0.0.0/":                   "",
		"::ffff:10.0.0.0/104":         "",
		"fe80::1%eth0/64":             "",
		"2001:db8::*":                 "",
		"*" + strings.Repeat("a", 63): "",
		strings.Repeat("a.", 127):     "",
	} {
		rule, ok := models.ParseHostRule(typed)
		if ok != (want != "") || ok && rule != want {
			t.Errorf("%q: got %q, %v, want %q", typed, rule, ok, want)
		}
		if again, still := models.ParseHostRule(rule); ok && (!still || again != rule) {
			t.Errorf("%q: its canonical form %q becomes %q, %v", typed, rule, again, still)
		}
	}
}

func TestHosts_Allow(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		rules string // separated by spaces
		host  string
		want  bool
	}{
		{"", "anywhere.example", true},
		{"db.example.com", "db.example.com", true},
		{"db.example.com", "DB.Example.Com.", true},
		{"db.example.com", "db.example.com.evil.example", false},
		{"db.example.com", "xdb.example.com", false},
		{"db.example.com", "db", false},
		{"other db", "db", true},
		{"10.1.2.3", "10.1.2.3", true},
		{"10.1.2.3", "::ffff:10.1.2.3", true},
		{"10.1.2.3", "::ffff:a01:203", true},
		{"10.1.2.3", "10.1.2.30", false},
		{"2001:db8::1", "2001:0DB8:0:0:0:0:0:1", true},
		{"2001:db8::1", "2001:db8::2", false},
		{"fe80::1", "fe80::1%eth0", false},
		{"fe80::1%eth0", "fe80::1%eth0", true},
		{"10.1.0.0/16", "10.1.255.9", true},
		{"10.1.0.0/16", "::ffff:10.1.0.1", true},
		{"10.1.0.0/16", "10.2.0.1", false},
		{"10.1.0.0/16", "10.1.example.com", false},
		{"2001:db8::/32", "2001:db8:ffff::9", true},
		{"2001:db8::/32", "2001:db9::9", false},
		{"fe80::/10", "fe80::9%eth0", true},
		{"0.0.0.0/0", "::1", false},
		{"*.example.com", "db.example.com", true},
		{"*.example.com", "DB.EXAMPLE.COM", true},
		{"*.example.com", "a.db.example.com", false},
		{"*.example.com", "example.com", false},
		{"*.example.com", "db.example.com.evil.example", false},
		{"*.*.example.com", "a.db.example.com", true},
		{"db-*-eu.example.com", "db-orders-eu.example.com", true},
		{"db-*-eu.example.com", "db--eu.example.com", true},
		{"db-*-eu.example.com", "db-eu.example.com", false},
		{"a*b*c", "aXbYbZc", true},
		{"a*b*c", "aXcYb", false},
		{"*ab", "aab", true},
		{"ab*ab", "ab", false},
		{"**", "db", true},
		{"*", "db", true},
		{"*", "db.example.com", false},
		{"*", "::1", false},
		{"*", "10.1.2.3", false},
		{"10.1.*.*", "10.1.2.3", true},
		{"10.1.*.*", "10.2.2.3", false},
		{"*.*.*.*", "10.1.2.3", true},
	} {
		var rules models.Hosts
		for typed := range strings.FieldsSeq(c.rules) {
			rule, ok := models.ParseHostRule(typed)
			if !ok {
				t.Fatalf("%q is no rule", typed)
			}
			rules = append(rules, rule)
		}
		if got := rules.Allow(c.host); got != c.want {
			t.Errorf("%q allows %q: got %v, want %v", c.rules, c.host, got, c.want)
		}
	}
}

// A matcher that tries each place for each star would not end.
func TestHosts_Allow_HostilePatterns(t *testing.T) {
	t.Parallel()
	rules := models.Hosts{}
	for range 50 {
		rules = append(rules, strings.Repeat("a*", 127)+"b")
	}
	if rules.Allow(strings.Repeat("a", 10_000)) {
		t.Error("got true, want false")
	}
}

func TestIsLoopback(t *testing.T) {
	t.Parallel()
	for host, want := range map[string]bool{
		"localhost": true, "LOCALHOST.": true, "127.0.0.1": true, "127.9.9.9": true, "::1": true, "0:0::1": true,
		"::ffff:127.0.0.1": true,
		"":                 false, "0.0.0.0": false, "::": false, "10.0.0.1": false, "db.localhost": false,
		"localhost.example.com": false,
		"127.0.0.1.example.com": false,
	} {
		if got := models.IsLoopback(host); got != want {
			t.Errorf("%q: got %v, want %v", host, got, want)
		}
	}
}
